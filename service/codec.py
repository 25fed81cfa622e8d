"""Bytes to pixels and back.

Pictures come out upright, in sRGB, 8 bits per channel, with their alpha beside them.
"""

import io
from pathlib import Path
from typing import Literal, NamedTuple, cast

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from torch import Tensor

from service.problems import BadPicture, TooLarge, UnsupportedFormat

Format = Literal["jpeg", "png", "webp", "avif"]
MEDIA_TYPES: dict[Format, str] = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "avif": "image/avif",
}

_SRGB = ImageCms.createProfile("sRGB")


class Picture(NamedTuple):
    """A decoded picture."""

    pixels: Tensor
    """uint8 RGB, `(H, W, 3)`."""
    alpha: Tensor | None
    """uint8, `(H, W)`; None for opaque pictures."""
    format: Format


def decode(data: bytes, max_pixels: int) -> Picture:
    """Reads JPEG, PNG, WebP or AVIF; the first frame of an animation.

    Raises:
        UnsupportedFormat: it is none of these.
        BadPicture: it is broken.
        TooLarge: it has more than `max_pixels`; found out before anything is decompressed.
    """
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=[name.upper() for name in MEDIA_TYPES])
    except UnidentifiedImageError:
        raise UnsupportedFormat(
            f"this is not a picture in a format we take: send {', '.join(MEDIA_TYPES).upper()}"
        ) from None
    except Image.DecompressionBombError:
        raise TooLarge(f"the picture has more than {max_pixels / 1e6:.1f} megapixels: make it smaller") from None
    except Exception as error:  # decoders raise anything on broken files
        raise BadPicture(f"the picture's header is broken ({error}): send the whole file") from error
    if image.width * image.height > max_pixels:
        raise TooLarge(
            f"the picture has {image.width}×{image.height} pixels; this server takes up to "
            f"{max_pixels / 1e6:.1f} megapixels: make it smaller"
        )
    encoded_as = cast("Format", "jpeg" if image.format == "MPO" else (image.format or "").lower())
    try:
        image.load()
        image = _to_srgb(ImageOps.exif_transpose(image))
    except Exception as error:  # as above
        raise BadPicture(f"the picture is broken or cut short ({error}): send the whole file") from error
    if image.has_transparency_data:
        rgba = torch.from_numpy(np.array(image.convert("RGBA")))
        return Picture(_without_hidden_colours(rgba), rgba[..., 3].contiguous(), encoded_as)
    return Picture(torch.from_numpy(np.array(image.convert("RGB"))), None, encoded_as)


def encode(picture: Picture, quality: int) -> bytes:
    """Writes a picture in its format.

    Args:
        picture: alpha is laid over white where the format (JPEG) has none.
        quality: 1 to 100, of JPEG, WebP and AVIF; PNG loses nothing.
    """
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


def _to_srgb(image: Image.Image) -> Image.Image:
    """Converts by the embedded profile; a profile that cannot be used is as none. 16 bits become 8."""
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image, dtype=np.uint32) >> 8).astype(np.uint8))
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "RGBA", "L", "CMYK"):
        return image
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    opaque = image.convert("RGB") if alpha is not None else image
    try:
        converted = ImageCms.profileToProfile(
            opaque, ImageCms.ImageCmsProfile(io.BytesIO(profile)), _SRGB, outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError):
        return image
    if converted is not None and alpha is not None:
        converted.putalpha(alpha)
    return converted or image


def _without_hidden_colours(rgba: Tensor) -> Tensor:
    """RGB with the mean colour where alpha is 0, so that no hidden colour reaches a visible edge."""
    pixels, hidden = rgba[..., :3].clone(), rgba[..., 3] == 0
    if hidden.any() and not hidden.all():
        pixels[hidden] = pixels[~hidden].float().mean(0).round().to(torch.uint8)
    return pixels.contiguous()
