"""The EXIF of AVIF, which Pillow reads as soon as it opens the file."""

from PIL import features

from service.codec.structure.directories import is_sound
from service.contract.problems import BadPicture

if features.check("avif"):
    from PIL import _avif


def check_avif(data: bytes) -> None:
    """Refuse an AVIF whose EXIF would cost much to read; other files pass.

    Raises:
        BadPicture: Its EXIF has very many entries or very large values.
    """
    if data[4:8] != b"ftyp" or not features.check("avif"):
        return
    try:
        exif = _avif.AvifDecoder(data, "auto", 1).get_info()[4]
    except Exception:  # it is no AVIF, or a broken one, which the next that reads it says better
        return
    if exif and not is_sound(exif.removeprefix(b"Exif\0\0")):
        raise BadPicture("the EXIF of the picture is broken: save the picture without it")
