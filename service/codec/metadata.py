"""What a file says about its picture: the EXIF and XMP that an answer carries on."""

import logging
import re
from typing import Any, NamedTuple

from PIL import Image
from PIL.ExifTags import IFD, Base

_STRUCTURE = frozenset(
    {
        *(254, 255, 256, 257, 258, 259, 262, 263, 266, 273, 277, 278, 279, 284, 301, 317, 318, 319, 320, 322, 323, 324),
        *(325, 330, 332, 334, 336, 338, 339, 340, 341, 347, 512, 513, 514, 529, 530, 531, 532),
        *(700, 33723, 34377, 34675),  # XMP, IPTC, Photoshop's and the profile, which are not EXIF
        *(Base.ExifImageWidth, Base.ExifImageHeight),
        *(IFD.Exif, IFD.GPSInfo, IFD.Interop),  # offsets, which are made anew
    }
)
"""Tags that tell how the pixels of the upload are stored."""
_PRIVATE = frozenset(
    {
        Base.MakerNote,  # unknown to us, and often with places and serial numbers
        Base.CameraOwnerName,
        Base.BodySerialNumber,
        Base.LensSerialNumber,
        Base.ImageUniqueID,
    }
)
"""Tags that tell by whom, where, or by which very camera the picture was taken."""
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation\s*=\s*"[^"]*"|<tiff:Orientation>[^<]*</tiff:Orientation>')
_log = logging.getLogger(__name__)


class Metadata(NamedTuple):
    """What goes into the answer as it is."""

    exif: bytes | None = None
    xmp: bytes | None = None


def orientation_of(image: Image.Image) -> int:
    """How to turn it, 1 to 8 as in EXIF; 1 where that is not said, or cannot be read."""
    try:
        return int(image.getexif().get(Base.Orientation, 1))
    except Exception as error:  # its parser raises anything on broken files
        _log.info("EXIF ignored: %s", error)
        return 1


def read(image: Image.Image, *, keep_all: bool) -> Metadata:
    """What the answer is to say.

    Never the orientation, for the answer is upright; nor the size; nor the thumbnail, which shows the upload.

    Args:
        image: after it was loaded.
        keep_all: also the place, the maker's notes, serial numbers, and XMP.
    """
    try:
        exif = _exif(image.getexif(), keep_all=keep_all)
    except Exception as error:  # as above
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
