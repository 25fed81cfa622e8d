"""The reading of picture files: first the header, for what the picture will cost, then the pixels."""

import contextlib
import io
import logging
from typing import NamedTuple, cast

import numpy as np
import torch
from PIL import Image, ImageFile, UnidentifiedImageError
from torch import Tensor

from service.codec import alpha, bit_depth, colour, metadata
from service.codec.formats import ANSWERS, NAMES
from service.codec.picture import DecodedPicture
from service.contract.options import Format
from service.contract.problems import BadPicture, TooLarge, UnsupportedFormat

_SIGNATURES = (
    *((0, signature) for signature in (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"II*\0", b"MM\0*")),
    *((8, b"WEBP"), (4, b"ftypavi"), *([(4, b"ftyphei")] if "HEIF" in ANSWERS else [])),
)
"""Offsets and bytes that identify the formats, also in a file that was cut short."""
_ANIMATED = ("GIF", "PNG", "WEBP", "AVIF", "TIFF")
"""Formats whose further pictures are frames or pages; in other formats they are previews of the first."""
_MOST_FRAMES = 10_000
"""The most frames that an animation may have."""
_MOST_PAGES = 1_000
"""The most pages that a TIFF may have; finding a page takes longer than finding a frame."""
_MOST_SCANS = 500
"""The most scans that a progressive JPEG may have. Each costs a pass over all pixels; usual files have about ten."""
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The transposition that makes a picture upright, by its EXIF orientation."""
_DRAFT_GAP = 2
"""The least factor by which a JPEG is decoded larger than wanted before it is resized, which keeps it sharp."""
_log = logging.getLogger(__name__)


class Header(NamedTuple):
    """The header of a picture file, which is known before the picture is decoded."""

    image: ImageFile.ImageFile
    """The opened file, of which nothing is decompressed yet; it can be decoded once only."""
    data: bytes
    """The bytes of the file."""
    format: Format
    """The format in which the picture is answered unless another is asked for."""
    frames: int
    """The number of frames of an animation or pages of a TIFF; 1 for other pictures."""

    @property
    def width(self) -> int:
        """The stored width in pixels; the EXIF orientation may exchange it with the height."""
        return self.image.width

    @property
    def height(self) -> int:
        """The stored height in pixels."""
        return self.image.height


def read_header(data: bytes, max_pixels: int) -> Header:
    """Read the header of a picture file, without decompressing anything.

    Args:
        data: The bytes of a file in one of the formats of `ANSWERS`.
        max_pixels: The most pixels that the picture may have.

    Raises:
        UnsupportedFormat: The file is in none of these formats.
        BadPicture: The header is broken.
        TooLarge: The picture has more than `max_pixels`, or more frames, pages or scans than are taken.
    """
    image = _open(data, max_pixels)
    if image.format in ("JPEG", "MPO") and data.count(b"\xff\xda") > _MOST_SCANS:
        raise TooLarge(f"the JPEG has more than {_MOST_SCANS} scans: save it anew")
    frames = _frames(image, data) if image.format in _ANIMATED else 1
    return Header(image, data, ANSWERS[image.format or ""], frames)


def decode(header: Header, size: tuple[int, int] | None = None, *, keep_metadata: bool = False) -> DecodedPicture:
    """Decode a picture; of an animation, the first frame.

    Args:
        header: The header from `read_header`, which can be decoded once only.
        size: Width and height in pixels, as stored, to which the picture is resized (Lanczos, antialiased), or None to
            keep its size.
        keep_metadata: Whether all metadata is kept; see `metadata.read`.

    Raises:
        BadPicture: The file is broken.
    """
    image = header.image
    try:
        if size not in (None, image.size):
            image.draft(None, (size[0] * _DRAFT_GAP, size[1] * _DRAFT_GAP))
        loaded = bit_depth.load(image, header.data)
        turn = _TRANSPOSITIONS.get(metadata.orientation_of(image))
        mask = loaded.getchannel("A") if loaded.mode in ("LA", "RGBA") else None
        opaque = loaded.convert(loaded.mode[:-1]) if mask else loaded
        rgb, profile = colour.to_rgb(opaque, image.info.get("icc_profile"))
    except Exception as error:  # Pillow's decoders raise exceptions of many kinds on broken files
        raise BadPicture(f"the picture is broken or cut short ({error}): send the whole file") from error
    kept = metadata.read(image, keep_all=keep_metadata)
    if size is not None and size != rgb.size:
        rgb, mask = _resized(rgb, mask, size)
    pixels, transparency = (None if each is None else _tensor(each, turn) for each in (rgb, mask))
    pixels = cast("Tensor", pixels)
    if transparency is not None:
        pixels = alpha.without_hidden_colours(pixels, transparency)
    return DecodedPicture(pixels, transparency, header.format, profile, kept)


def _open(data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    try:
        image = Image.open(io.BytesIO(data), formats=[name for name in ANSWERS if name != "MPO"])
    except UnidentifiedImageError:
        if any(data.startswith(signature, offset) for offset, signature in _SIGNATURES):
            raise BadPicture("the picture is broken or cut short: send the whole file") from None
        raise UnsupportedFormat(f"this is not a picture in a format we take: send {NAMES}") from None
    except Image.DecompressionBombError:
        raise TooLarge(f"the picture has more than {max_pixels:,} pixels: make it smaller") from None
    except Exception as error:  # Pillow's parsers raise exceptions of many kinds on broken files
        raise BadPicture(f"the picture's header is broken ({error}): send the whole file") from error
    if image.width * image.height > max_pixels:
        raise TooLarge(
            f"the picture has {image.width:,}×{image.height:,} pixels; this server takes up to {max_pixels:,} in all: "
            "make it smaller"
        )
    return image


def _frames(image: ImageFile.ImageFile, data: bytes) -> int:
    """Return the number of frames or pages of a file, without decompressing them."""
    most = _MOST_PAGES if image.format == "TIFF" else _MOST_FRAMES
    try:
        # These two bytes stand before each frame and rarely elsewhere; counting them is faster than reading the frames.
        if image.format == "GIF" and data.count(b"\0,") > most:
            frames = most + 1
        elif image.format == "TIFF":
            frames = _pages(image)
        else:
            frames = int(getattr(image, "n_frames", 1))
    except Exception as error:  # later frames are not answered, so that they may be broken
        _log.info("frames ignored: %s", error)
        return 1
    if frames > most:
        raise TooLarge(f"the picture has more than {most:,} frames or pages: send one of them")
    return frames


def _pages(image: ImageFile.ImageFile) -> int:
    """Return the number of pages of a TIFF, but at most one more than are taken, because each has to be looked for."""
    page = 0
    with contextlib.suppress(EOFError):
        while page < _MOST_PAGES:
            image.seek(page + 1)
            page += 1
    image.seek(0)
    return page + 1


def _resized(
    rgb: Image.Image, mask: Image.Image | None, size: tuple[int, int]
) -> tuple[Image.Image, Image.Image | None]:
    """Resize a picture and its alpha; Pillow weights the colours by the alpha."""
    if mask is None:
        return rgb.resize(size, Image.Resampling.LANCZOS), None
    rgba = Image.merge("RGBA", (*rgb.split(), mask)).resize(size, Image.Resampling.LANCZOS)
    return rgba.convert("RGB"), rgba.getchannel("A")


def _tensor(image: Image.Image, turn: Image.Transpose | None) -> Tensor:
    return torch.from_numpy(np.array(image if turn is None else image.transpose(turn)))
