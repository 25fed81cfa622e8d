"""Bytes to pixels and back.

Pictures come out upright, in sRGB, 8 bits per channel, with their alpha beside them.
"""

import io
import logging
from pathlib import Path
from typing import Literal, NamedTuple, cast

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from torch import Tensor

from service.problems import BadPicture, TooLarge, UnsupportedFormat

Format = Literal["jpeg", "png", "webp", "avif"]
RequestedFormat = Literal["auto", Format]
"""`auto` is the upload's."""

MEDIA_TYPES: dict[Format, str] = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "avif": "image/avif",
}

_LONGEST_SIDES: dict[Format, int] = {"jpeg": 65_500, "webp": 16_383, "avif": 65_535}
"""In pixels; of the formats that have a limit."""
_SIGNATURES = ((0, b"\xff\xd8\xff"), (0, b"\x89PNG"), (8, b"WEBP"), (4, b"ftypavi"))
"""Offsets and bytes by which even a file that breaks off can be told."""
_SRGB = ImageCms.createProfile("sRGB")
_log = logging.getLogger(__name__)


class Header(NamedTuple):
    """What is known of a picture before it is decoded."""

    image: Image.Image
    """Nothing of it is decompressed yet; once only."""
    format: Format

    @property
    def width(self) -> int:
        """In pixels, as stored: EXIF may exchange it with the height."""
        return self.image.width

    @property
    def height(self) -> int:
        """In pixels, as stored."""
        return self.image.height


class Picture(NamedTuple):
    """A decoded picture."""

    pixels: Tensor
    """uint8 RGB, `(H, W, 3)`."""
    alpha: Tensor | None
    """uint8, `(H, W)`; None for opaque pictures."""
    format: Format


def read_header(data: bytes, max_pixels: int) -> Header:
    """Reads the header of JPEG, PNG, WebP or AVIF; decompresses nothing.

    Raises:
        UnsupportedFormat: it is none of these.
        BadPicture: it is broken.
        TooLarge: it has more than `max_pixels`.
    """
    image = _open(data, max_pixels)
    return Header(image, cast("Format", "jpeg" if image.format == "MPO" else (image.format or "").lower()))


def decode(header: Header) -> Picture:
    """Decodes the picture of a header; the first frame of an animation.

    Raises:
        BadPicture: it is broken.
    """
    image = header.image
    try:
        image.load()
        image = _upright(image)
        alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
        image = _to_srgb(image)
    except Exception as error:  # decoders raise anything on broken files
        raise BadPicture(f"the picture is broken or cut short ({error}): send the whole file") from error
    pixels = torch.from_numpy(np.array(image))
    if alpha is None:
        return Picture(pixels, None, header.format)
    mask = torch.from_numpy(np.array(alpha))
    return Picture(_without_hidden_colours(pixels, mask), mask, header.format)


def encode(picture: Picture, quality: int) -> bytes:
    """Writes a picture in its format.

    Args:
        picture: alpha is laid over white where the format (JPEG) has none.
        quality: 1 to 100, of JPEG, WebP and AVIF; PNG loses nothing.

    Raises:
        TooLarge: the format has no room for it.
    """
    height, width, _ = picture.pixels.shape
    check_room(picture.format, width, height)
    image = Image.fromarray(picture.pixels.numpy())
    if picture.alpha is not None:
        image.putalpha(Image.fromarray(picture.alpha.numpy()))
        if picture.format == "jpeg":
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    buffer = io.BytesIO()
    if picture.format == "png":
        image.save(buffer, "PNG")
    elif picture.format == "jpeg":
        image.save(buffer, "JPEG", quality=quality, subsampling="4:4:4")
    else:
        image.save(buffer, picture.format.upper(), quality=quality)
    return buffer.getvalue()


def check_room(format: Format, width: int, height: int) -> None:  # noqa: A002
    """Makes sure that a format can hold a picture of this size.

    Raises:
        TooLarge: it cannot.
    """
    longest = _LONGEST_SIDES.get(format)
    if longest is not None and max(width, height) > longest:
        raise TooLarge(
            f"{format.upper()} holds up to {longest:,} pixels a side, and the answer would have {width:,}×{height:,}: "
            "ask for format=png"
        )


def format_of(path: Path) -> Format:
    """The format that a file name's suffix stands for.

    Raises:
        UnsupportedFormat: none that we write.
    """
    suffix = path.suffix.lower().lstrip(".")
    name = "jpeg" if suffix == "jpg" else suffix
    if name not in MEDIA_TYPES:
        raise UnsupportedFormat(f"cannot write {path.name}: end its name in .jpg, .png, .webp or .avif")
    return name


def enlarge_alpha(alpha: Tensor, factor: int) -> Tensor:
    """Enlarges an alpha channel, `(H, W)` uint8, by itself (bicubic)."""
    height, width = alpha.shape
    enlarged = Image.fromarray(alpha.numpy()).resize((width * factor, height * factor), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(enlarged))


def _open(data: bytes, max_pixels: int) -> Image.Image:
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=[name.upper() for name in MEDIA_TYPES])
    except UnidentifiedImageError:
        if any(data.startswith(signature, offset) for offset, signature in _SIGNATURES):
            raise BadPicture("the picture is broken or cut short: send the whole file") from None
        raise UnsupportedFormat(
            f"this is not a picture in a format we take: send {', '.join(MEDIA_TYPES).upper()}"
        ) from None
    except Image.DecompressionBombError:
        raise TooLarge(f"the picture has more than {max_pixels:,} pixels: make it smaller") from None
    except Exception as error:  # as above
        raise BadPicture(f"the picture's header is broken ({error}): send the whole file") from error
    if image.width * image.height > max_pixels:
        raise TooLarge(
            f"the picture has {image.width:,}×{image.height:,} pixels; this server takes up to {max_pixels:,} in all: "
            "make it smaller"
        )
    return image


def _upright(image: Image.Image) -> Image.Image:
    """Turned as its EXIF says; EXIF that cannot be read says nothing."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception as error:  # its parser, too, raises anything
        _log.info("EXIF ignored: %s", error)
        return image


def _to_srgb(image: Image.Image) -> Image.Image:
    """The colours, as 8-bit RGB, converted by the embedded profile; a profile that cannot be used is as none."""
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image, dtype=np.uint32) >> 8).astype(np.uint8)).convert("RGB")
    profile = image.info.get("icc_profile")
    opaque = image.convert({"L": "L", "LA": "L", "1": "L", "CMYK": "CMYK"}.get(image.mode, "RGB"))
    if profile:
        try:
            converted = ImageCms.profileToProfile(
                opaque, ImageCms.ImageCmsProfile(io.BytesIO(profile)), _SRGB, outputMode="RGB"
            )
        except (ImageCms.PyCMSError, OSError) as error:
            _log.info("ICC profile ignored: %s", error)
        else:
            return converted or opaque.convert("RGB")
    return opaque.convert("RGB")


def _without_hidden_colours(pixels: Tensor, alpha: Tensor) -> Tensor:
    """Pixels with the mean colour where alpha is 0, so that no hidden colour reaches a visible edge."""
    hidden = alpha == 0
    if hidden.any() and not hidden.all():
        pixels[hidden] = pixels[~hidden].float().mean(0).round().to(torch.uint8)
    return pixels
