"""The opening of picture files: their structure and header are read, and nothing is decompressed."""

import io
from typing import NamedTuple

from PIL import Image, ImageFile, UnidentifiedImageError

from service.codec.formats import ANSWERS, NAMES
from service.codec.samples import check_bytes
from service.codec.structure.avif import without_costly_exif
from service.codec.structure.bmp import check_bmp, is_bmp
from service.codec.structure.file import CheckedFile
from service.codec.structure.gif import check_gif
from service.codec.structure.jpeg import check_jpeg
from service.codec.structure.png import SIGNATURE, check_png
from service.codec.structure.signatures import check_signature
from service.codec.structure.tiff import Tiff, is_tiff, read_tiff
from service.contract.options import Format
from service.contract.problems import BadPicture, TooLarge, UnsupportedFormat

_SIGNATURES = ((8, b"WEBP"), (4, b"ftypavi"), *([(4, b"ftyphei")] if "HEIF" in ANSWERS else []))
"""Offsets and bytes that identify the formats whose structure is not read here, also in a file that was cut short."""
_CONTAINERS = ("WEBP", "AVIF")
"""Formats whose further pictures are frames, and are counted by Pillow."""
_MOST_FRAMES = 10_000
"""Largest number of frames that an animation may have."""


class Header(NamedTuple):
    """The header of a picture file, which is known before the picture is decoded."""

    image: ImageFile.ImageFile | None
    """The file as Pillow opened it, of which nothing is decompressed yet; None for a TIFF that tifffile reads."""
    tiff: Tiff | None
    """The structure of a TIFF."""
    file: CheckedFile
    """The bytes that are decoded, and what else is known of them."""
    width: int
    """The stored width in pixels; the EXIF orientation may exchange it with the height."""
    height: int
    """The stored height in pixels."""
    format: Format
    """The format in which the picture is answered unless another is asked for."""

    @property
    def frames(self) -> int:
        """Return the number of frames of an animation or pages of a TIFF; 1 for other pictures."""
        return self.file.frames

    @property
    def is_truncated(self) -> bool:
        """Tell whether the file lacks its end; if it can be decoded, all pixels are there."""
        return self.file.is_cut


def read_header(data: bytes, max_pixels: int) -> Header:
    """Read the structure and the header of a picture file, without decompressing anything.

    Args:
        data: The bytes of a file in one of the formats of `ANSWERS`.
        max_pixels: The most pixels that the picture may have.

    Raises:
        UnsupportedFormat: The file is in none of these formats, or in a kind of them that is not read.
        BadPicture: The header is broken.
        TooLarge: The picture has more than `max_pixels`, or more frames or pages than are taken.
        MemoryError: There is not enough memory.
    """
    if is_tiff(data):
        return _read_tiff_header(data, max_pixels)
    file = _checked(data)
    image = _opened(file.data)
    _check_pixels(image.width, image.height, max_pixels // 2 if file.is_deep else max_pixels, is_deep=file.is_deep)
    if image.format in _CONTAINERS:
        file = file._replace(frames=_frames(image))
    return Header(image, None, file, image.width, image.height, ANSWERS[image.format or ""])


def _checked(data: bytes) -> CheckedFile:
    if data.startswith(b"\xff\xd8\xff"):
        return check_jpeg(data)
    if data.startswith(SIGNATURE):
        return check_png(data)
    if data.startswith((b"GIF87a", b"GIF89a")):
        return check_gif(data)
    check_signature(data, NAMES, reads_heic="HEIF" in ANSWERS)
    if is_bmp(data):
        check_bmp(data)
    return CheckedFile(without_costly_exif(data))


def _read_tiff_header(data: bytes, max_pixels: int) -> Header:
    tiff = read_tiff(data)
    layout = tiff.layout
    _check_pixels(layout.width, layout.height, max_pixels)
    file = CheckedFile(data, tiff.pages)
    if layout.suits_pillow:
        try:
            alone = tiff.alone
            image = _opened(alone)
        except BadPicture:
            if not layout.suits_tifffile:
                raise tiff.unsupported from None
        else:
            if {*image.size} == {layout.width, layout.height}:  # Pillow turns a TIFF upright by itself
                return Header(image, tiff, file._replace(data=alone), image.width, image.height, ANSWERS["TIFF"])
    if not layout.suits_tifffile:
        raise tiff.unsupported
    check_bytes(tiff, max_pixels)
    return Header(None, tiff, file, layout.width, layout.height, ANSWERS["TIFF"])


def _opened(data: bytes) -> ImageFile.ImageFile:
    try:
        return Image.open(io.BytesIO(data), formats=[name for name in ANSWERS if name != "MPO"])
    except UnidentifiedImageError:
        known = is_tiff(data) or is_bmp(data) or data.startswith((b"\xff\xd8\xff", b"\x89PNG", b"GIF8"))
        if known or any(data.startswith(signature, offset) for offset, signature in _SIGNATURES):
            raise BadPicture("the picture is broken or cut short: send the whole file") from None
        raise UnsupportedFormat(f"this is not a picture in a format we take: send {NAMES}") from None
    except MemoryError:
        raise
    except Exception as error:  # Pillow's parsers raise exceptions of many kinds on broken files
        if is_bmp(data) and "nsupported" in str(error):
            raise UnsupportedFormat(f"this kind of BMP is not supported ({error}): save it as PNG") from error
        raise BadPicture(f"the picture's header is broken ({error}): send the whole file") from error


def _check_pixels(width: int, height: int, max_pixels: int, *, is_deep: bool = False) -> None:
    if width * height > max_pixels:
        raise TooLarge(
            f"the picture has {width:,}×{height:,} pixels; this server takes up to {max_pixels:,} in all"
            f"{' with 16 bits a channel' if is_deep else ''}: make it smaller"
        )


def _frames(image: ImageFile.ImageFile) -> int:
    """Return the number of frames, which these formats have in their header."""
    try:
        frames = int(getattr(image, "n_frames", 1))
    except Exception:  # later frames are not answered, so that they may be broken
        return 1
    if frames > _MOST_FRAMES:
        raise TooLarge(f"the picture has more than {_MOST_FRAMES:,} frames or pages: send one of them")
    return frames
