"""Telling by its first bytes whether a file is a film, and of which format. This needs no FFmpeg."""

import importlib.util

BYTES_LOOKED_AT = 512
"""Number of bytes at the beginning of a file that are looked at."""
_PICTURE_BRANDS = frozenset(
    {
        b"avif",
        b"avis",
        b"crx ",
        b"heic",
        b"heim",
        b"heis",
        b"heix",
        b"hevc",
        b"hevx",
        b"jp2 ",
        b"jxl ",
        b"mif1",
        b"msf1",
    }
)
"""Brands of the ISO base media file format whose files are pictures."""
_MOST_BRANDS = 64
"""Bytes of brands that are looked at."""
_BOXES = (b"moov", b"mdat", b"wide")
"""Types of the first box of QuickTime files that tell no brand."""
_SIGNATURES = (
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (8, b"AVI ", "avi"),
    (0, b"\0\0\1\xba", "mpeg"),
    (0, b"OggS", "ogg"),
)
"""Offsets, bytes and FFmpeg's names of the other formats."""
_PACKETS = (188, 192)
"""Bytes of a packet of an MPEG transport stream, of a broadcast and of a Blu-ray disc."""
_SYNC = 0x47
"""First byte of a packet of an MPEG transport stream; on a Blu-ray disc, four bytes of time precede it."""


def films_can_be_made() -> bool:
    """Tell whether FFmpeg's libraries are installed, which come with the extra `video`."""
    return importlib.util.find_spec("av") is not None


def film_format(start: bytes) -> str | None:
    """Return FFmpeg's name of the format of a film, or None for a file that is no film.

    Args:
        start: The first bytes of the file, `BYTES_LOOKED_AT` of them if it has as many.
    """
    kind = start[4:8]
    if kind == b"ftyp":
        end = min(int.from_bytes(start[:4], "big"), 8 + _MOST_BRANDS)
        brands = {start[at : at + 4] for at in range(8, end, 4) if at != 12}
        return None if brands & _PICTURE_BRANDS else "mov"
    if kind in _BOXES:
        return "mov"
    for size in _PACKETS:
        if len(start) > size and set(start[size - 188 :: size]) == {_SYNC}:
            return "mpegts"
    return next((name for offset, signature, name in _SIGNATURES if start.startswith(signature, offset)), None)
