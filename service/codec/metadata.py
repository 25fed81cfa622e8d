"""The metadata of a picture file: the EXIF and XMP of an upload that its answer keeps."""

import logging
import re
from typing import Any, NamedTuple

from PIL import Image
from PIL.ExifTags import IFD, Base

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
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation\s*=\s*"[^"]*"|<tiff:Orientation>[^<]*</tiff:Orientation>')
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
        return int(image.getexif().get(Base.Orientation, 1))
    except Exception as error:  # Pillow's EXIF parser raises exceptions of many kinds on broken files
        _log.info("EXIF ignored: %s", error)
        return 1


def read(image: Image.Image, *, keep_all: bool) -> Metadata:
    """Read the metadata that the answer to an upload keeps.

    It never includes the orientation, because the answer is upright, nor the size, nor the thumbnail, which shows the
    upload.

    Args:
        image: The image, which was loaded.
        keep_all: Whether to include the place, the maker's notes, serial numbers and the XMP.
    """
    try:
        exif = _exif(image.getexif(), keep_all=keep_all)
    except Exception as error:  # Pillow's EXIF parser raises exceptions of many kinds on broken files
        _log.info("EXIF ignored: %s", error)
        exif = None
    return Metadata(exif, _xmp(image) if keep_all else None)


def _exif(exif: Image.Exif, *, keep_all: bool) -> bytes | None:
    left_out = _STRUCTURE | {Base.Orientation} | (frozenset() if keep_all else _PRIVATE)
    kept = Image.Exif()
    for tag in exif:
        if tag not in left_out:
            kept[tag] = exif[tag]
    details = _without(exif.get_ifd(IFD.Exif), left_out)
    interoperability = exif.get_ifd(IFD.Interop) if details else {}
    if interoperability:
        details[IFD.Interop] = interoperability
    places = exif.get_ifd(IFD.GPSInfo) if keep_all else {}
    for ifd, content in ((IFD.Exif, details), (IFD.GPSInfo, places)):
        if content:
            kept.get_ifd(ifd).update(content)
    return kept.tobytes() if len(kept) or details or places else None


def _without(content: dict[int, Any], left_out: frozenset[int]) -> dict[int, Any]:
    return {tag: value for tag, value in content.items() if tag not in left_out}


def _xmp(image: Image.Image) -> bytes | None:
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if isinstance(xmp, str):
        xmp = xmp.encode()
    return _XMP_ORIENTATION.sub(b"", xmp) if isinstance(xmp, bytes) else None
