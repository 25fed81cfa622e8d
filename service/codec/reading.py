"""Bytes to a picture."""

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
"""Offsets and bytes by which even a file that breaks off can be told."""
_ANIMATED = ("GIF", "PNG", "WEBP", "AVIF", "TIFF")
"""Formats whose further pictures are frames or pages, not previews of the first."""
_MOST_FRAMES = 10_000
_MOST_PAGES = 1_000
"""Of a TIFF; to find a page takes longer than to find a frame."""
_MOST_SCANS = 500
"""Of a progressive JPEG, each of which costs a pass over all pixels; there are about ten."""
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""That make upright what EXIF says lies otherwise."""
_DRAFT_GAP = 2
"""How many times larger than wanted a JPEG is at least decoded before it is resized, for quality."""
_log = logging.getLogger(__name__)


class Header(NamedTuple):
    """What is known of a picture before it is decoded."""

    image: ImageFile.ImageFile
    """Nothing of it is decompressed yet; once only."""
    data: bytes
    """The file."""
    format: Format
    """In which it is answered unless another is asked for."""
    frames: int
    """Of an animation, or pages; 1 for others."""

    @property
    def width(self) -> int:
        """In pixels, as stored: EXIF may exchange it with the height."""
        return self.image.width

    @property
    def height(self) -> int:
        """In pixels, as stored."""
        return self.image.height


def read_header(data: bytes, max_pixels: int) -> Header:
    """Reads the header of a picture in one of the formats of `ANSWERS`; decompresses nothing.

    Raises:
        UnsupportedFormat: it is none of these.
        BadPicture: it is broken.
        TooLarge: it has more than `max_pixels`, or more frames or passes than a picture has.
    """
    image = _open(data, max_pixels)
    if image.format in ("JPEG", "MPO") and data.count(b"\xff\xda") > _MOST_SCANS:
        raise TooLarge(f"the JPEG has more than {_MOST_SCANS} scans: save it anew")
    frames = _frames(image, data) if image.format in _ANIMATED else 1
    return Header(image, data, ANSWERS[image.format or ""], frames)


def decode(header: Header, size: tuple[int, int] | None = None, *, keep_metadata: bool = False) -> DecodedPicture:
    """Decodes the picture of a header; the first frame of an animation.

    Args:
        header: once only.
        size: width and height, as stored, to resize it to (Lanczos, antialiased); as it is if not given.
        keep_metadata: all of it; see `metadata.read`.

    Raises:
        BadPicture: it is broken.
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
    except Exception as error:  # decoders raise anything on broken files
        raise BadPicture(f"the picture is broken or cut short ({error}): send the whole file") from error
    said = metadata.read(image, keep_all=keep_metadata)
    if size is not None and size != rgb.size:
        rgb, mask = _resized(rgb, mask, size)
    pixels, transparency = (None if each is None else _tensor(each, turn) for each in (rgb, mask))
    pixels = cast("Tensor", pixels)
    if transparency is not None:
        pixels = alpha.without_hidden_colours(pixels, transparency)
    return DecodedPicture(pixels, transparency, header.format, profile, said)


def _open(data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    try:
        image = Image.open(io.BytesIO(data), formats=[name for name in ANSWERS if name != "MPO"])
    except UnidentifiedImageError:
        if any(data.startswith(signature, offset) for offset, signature in _SIGNATURES):
            raise BadPicture("the picture is broken or cut short: send the whole file") from None
        raise UnsupportedFormat(f"this is not a picture in a format we take: send {NAMES}") from None
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


def _frames(image: ImageFile.ImageFile, data: bytes) -> int:
    """How many, by their headers."""
    most = _MOST_PAGES if image.format == "TIFF" else _MOST_FRAMES
    try:
        if image.format == "GIF" and data.count(b"\0,") > most:  # before each frame; rarely elsewhere
            frames = most + 1
        elif image.format == "TIFF":
            frames = _pages(image)
        else:
            frames = int(getattr(image, "n_frames", 1))
    except Exception as error:  # as above; what is wrong with a later frame does not matter
        _log.info("frames ignored: %s", error)
        return 1
    if frames > most:
        raise TooLarge(f"the picture has more than {most:,} frames or pages: send one of them")
    return frames


def _pages(image: ImageFile.ImageFile) -> int:
    """Each has to be looked for, so that a long row of them is followed to the most and one more."""
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
    """Colours count as far as they are visible."""
    if mask is None:
        return rgb.resize(size, Image.Resampling.LANCZOS), None
    rgba = Image.merge("RGBA", (*rgb.split(), mask)).resize(size, Image.Resampling.LANCZOS)
    return rgba.convert("RGB"), rgba.getchannel("A")


def _tensor(image: Image.Image, turn: Image.Transpose | None) -> Tensor:
    return torch.from_numpy(np.array(image if turn is None else image.transpose(turn)))
