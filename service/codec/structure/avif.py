"""The EXIF of AVIF, which Pillow reads as soon as it opens the file."""

from PIL import features

from service.codec.structure.directories import is_sound
from service.contract.problems import BadPicture

if features.check("avif"):
    from PIL import _avif

_EMPTY = b"II*\0\x08\0\0\0\0\0\0\0\0\0"
"""EXIF with one directory, which has no entries."""


def without_costly_exif(data: bytes) -> bytes:
    """Return an AVIF whose EXIF is empty if it would cost much to read, as it is ignored elsewhere; other files as is.

    Raises:
        BadPicture: The EXIF has very many entries or very large values, and does not lie in one piece.
    """
    if data[4:8] != b"ftyp" or not features.check("avif"):
        return data
    try:
        exif = _avif.AvifDecoder(data, "auto", 1).get_info()[4]
    except Exception:  # it is no AVIF, or a broken one, which the next that reads it says better
        return data
    content = exif.removeprefix(b"Exif\0\0") if exif else b""
    if not content or is_sound(content):
        return data
    if content not in data or len(content) < len(_EMPTY):
        raise BadPicture("the EXIF of the picture is broken: save the picture without it")
    return data.replace(content, _EMPTY.ljust(len(content), b"\0"))
