"""Telling by its first bytes what a file is that is not taken."""

import re

from service.codec.structure.bmp import is_bmp
from service.contract.problems import UnsupportedFormat

_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
"""Brands of HEIC among those of the ISO base media file format."""
_MOST_BRANDS = 64
"""Bytes of brands that are looked at."""
_START = 1024
"""Bytes in which the root of an XML document is looked for."""
_OTHERS = (
    (0, b"%PDF", "a PDF: save its page as a PNG or JPEG"),
    (0, b"8BPS", "a Photoshop document: export it as PNG, JPEG or TIFF"),
    (0, b"\xff\x0a", "a JPEG XL: save it as PNG or JPEG"),
    (4, b"JXL \r\n", "a JPEG XL: save it as PNG or JPEG"),
    (4, b"jP  \r\n", "a JPEG 2000: save it as PNG or JPEG"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000: save it as PNG or JPEG"),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR picture: save it as PNG, JPEG or TIFF"),
    (0, b"#?RADIANCE", "a Radiance picture: save it as PNG, JPEG or TIFF"),
    (0, b"FUJIFILMCCD-RAW", "a raw file of a camera: export it as JPEG, PNG or TIFF first"),
    (0, b"IIU\0", "a raw file of a camera: export it as JPEG, PNG or TIFF first"),
    (0, b"IIRO", "a raw file of a camera: export it as JPEG, PNG or TIFF first"),
    (0, b"IIRS", "a raw file of a camera: export it as JPEG, PNG or TIFF first"),
    (0, b"MMOR", "a raw file of a camera: export it as JPEG, PNG or TIFF first"),
    (0, b"FOVb", "a raw file of a camera: export it as JPEG, PNG or TIFF first"),
    (4, b"ftypcrx", "a raw file of a camera: export it as JPEG, PNG or TIFF first"),
    (0, b"\0\0\1\0", "an icon (ICO): save it as PNG"),
    (0, b"PK\3\4", "a ZIP archive: send the pictures in it"),
)
"""Offsets, first bytes and descriptions of formats that are not taken."""
_XML_ROOT = re.compile(rb"<(svg|html|!doctype html|!doctype svg)[\s>]", re.IGNORECASE)


def check_signature(data: bytes, names: str, *, reads_heic: bool) -> None:
    """Refuse a file that begins like one of a known format that is not taken, or like a BMP and is none.

    Args:
        data: Bytes of the file.
        names: Names of the formats that are taken.
        reads_heic: Whether HEIC is among them.

    Raises:
        UnsupportedFormat: It is of such a format.
    """
    if not reads_heic and _is_heic(data):
        raise UnsupportedFormat(
            "this is a HEIC, which this server cannot read: have impasto[heic] installed on it, "
            "or send the photo as JPEG"
        )
    for offset, signature, description in _OTHERS:
        if data.startswith(signature, offset):
            raise UnsupportedFormat(f"this is {description} (we take {names})")
    text = data[:_START].lstrip(b"\xef\xbb\xbf \t\r\n")
    root = _XML_ROOT.search(text) if text.startswith(b"<") else None
    if root is not None and b"svg" in root[1].lower():
        raise UnsupportedFormat(f"this is an SVG, a drawing: save it as a PNG of the size you want (we take {names})")
    if root is not None:
        raise UnsupportedFormat(f"this is a web page, not a picture (we take {names})")
    if data[:2] == b"BM" and not is_bmp(data):
        raise UnsupportedFormat(f"this is not a picture in a format we take: send {names}")


def _is_heic(data: bytes) -> bool:
    if data[4:8] != b"ftyp":
        return False
    end = min(int.from_bytes(data[:4], "big"), 8 + _MOST_BRANDS)
    brands = {data[at : at + 4] for at in range(8, end, 4) if at != 12}
    return bool(brands & _HEIC_BRANDS) and not brands & {b"avif", b"avis"}
