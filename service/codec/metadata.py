"""The metadata of a picture file: the EXIF and XMP of an upload that its answer keeps."""

import logging
from typing import NamedTuple

from PIL import Image
from PIL.ExifTags import IFD, Base

from service.codec import xmp
from service.codec.structure.directories import is_sound

_STRUCTURE = frozenset(
    {
        *(254, 255, 256, 257, 258, 259, 262, 263, 266, 273, 277, 278, 279, 284, 301, 317, 318, 319, 320, 322, 323, 324),
        *(325, 330, 332, 334, 336, 338, 339, 340, 341, 347, 512, 513, 514, 529, 530, 531, 532),
        *(700, 33723, 34377, 34675),  # XMP, IPTC, Photoshop's data and the ICC profile, which are not EXIF
        *(Base.ExifImageWidth, Base.ExifImageHeight),
        *(IFD.Exif, IFD.GPSInfo, IFD.Interop),  # offsets, which are made anew
    }
)
"""Tags that describe how the pixels of the upload are stored, which the answer never keeps."""
_PRIVATE = frozenset(
    {
        Base.MakerNote,  # has no public format, and often holds places and serial numbers
        Base.CameraOwnerName,
        Base.BodySerialNumber,
        Base.LensSerialNumber,
        Base.ImageUniqueID,
    }
)
"""Tags that may identify the photographer, the place or the individual camera."""
_PUBLIC = frozenset({270, 271, 272, 282, 283, 296, 305, 306, 315, 18246, 18249, 33432, *range(40091, 40096)})
"""Tags of the first directory that answers keep without being asked: what is shown, by whom, when and with what. Others
hold places (GeoTIFF), serial numbers and makers' notes (DNG), or anything at all."""
_STANDARD = range(33434, 42241)
"""Tags of the Exif directory that are of the standard, not private."""
_log = logging.getLogger(__name__)


class Metadata(NamedTuple):
    """The metadata that an answer keeps, as the bytes that are written."""

    exif: bytes | None = None
    """The EXIF, or None if there is none."""
    xmp: bytes | None = None
    """The XMP, or None if there is none."""


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation of an image, from 1 to 8; 1, upright, if there is none or it cannot be read."""
    try:
        return int(_sound_exif(image).get(Base.Orientation, 1))
    except Exception as error:  # Pillow's EXIF parser raises exceptions of many kinds on broken files
        _log.info("EXIF ignored: %s", error)
        return 1


def read(image: Image.Image, *, keep_all: bool, ratio: float | None = 1) -> Metadata:
    """Read the metadata that the answer to an upload keeps.

    It never includes the orientation, because the answer is upright, nor the size, nor the thumbnail, which shows the
    upload.

    Args:
        image: The image, which was loaded.
        keep_all: Whether to include the place, the maker's notes, serial numbers and the XMP.
        ratio: Factor by which the answer is larger than the upload; None if it is turned.
    """
    try:
        exif = _exif(_sound_exif(image), keep_all=keep_all)
    except Exception as error:  # Pillow's EXIF parser raises exceptions of many kinds on broken files
        _log.info("EXIF ignored: %s", error)
        exif = None
    return Metadata(exif, _xmp(image, ratio) if keep_all else None)


def _sound_exif(image: Image.Image) -> Image.Exif:
    """Return the EXIF of an image, after checking that reading it costs little.

    Raises:
        ValueError: Its directories have more entries or larger values than sound ones can have.
    """
    exif = image.info.get("exif")
    if isinstance(exif, bytes) and not is_sound(exif.removeprefix(b"Exif\0\0")):
        raise ValueError("its directories are broken")
    return image.getexif()


def _exif(exif: Image.Exif, *, keep_all: bool) -> bytes | None:
    left_out = _STRUCTURE | {Base.Orientation} | (frozenset() if keep_all else _PRIVATE)
    kept = Image.Exif()
    for tag in exif:
        if tag not in left_out and (keep_all or tag in _PUBLIC):
            kept[tag] = exif[tag]
    details = {
        tag: value
        for tag, value in exif.get_ifd(IFD.Exif).items()
        if tag not in left_out and (keep_all or tag in _STANDARD)
    }
    interoperability = exif.get_ifd(IFD.Interop) if details else {}
    if interoperability:
        details[IFD.Interop] = interoperability
    places = exif.get_ifd(IFD.GPSInfo) if keep_all else {}
    for ifd, content in ((IFD.Exif, details), (IFD.GPSInfo, places)):
        if content:
            kept.get_ifd(ifd).update(content)
    return kept.tobytes() if len(kept) or details or places else None


def _xmp(image: Image.Image, ratio: float | None) -> bytes | None:
    content = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if isinstance(content, str):
        content = content.encode()
    return xmp.of_answer(content, ratio) if isinstance(content, bytes) else None
