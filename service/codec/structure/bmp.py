"""The structure of BMP: which files there are, and how large those may be that are stored in runs."""

import struct

from service.contract.problems import TooLarge

_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
"""Sizes in bytes of the headers of BMP."""
_IN_RUNS = frozenset({1, 2})
"""Compressions whose pixels are stored in runs (RLE8 and RLE4); 12-byte and 16-byte headers name none."""
_MOST_IN_RUNS = 1_000_000
"""Largest number of pixels, and of bytes, of a BMP in runs: Pillow reads these one after the other, in Python."""


def is_bmp(data: bytes) -> bool:
    """Return whether a file begins like a BMP."""
    return data[:2] == b"BM" and len(data) >= 18 and int.from_bytes(data[14:18], "little") in _HEADERS


def check_bmp(data: bytes) -> None:
    """Refuse a BMP in runs that would take long to decode.

    Raises:
        TooLarge: It has too many pixels or bytes.
    """
    if len(data) < 34 or int.from_bytes(data[14:18], "little") < 40:
        return
    width, height, compression = struct.unpack_from("<ii4xI", data, 18)
    if compression in _IN_RUNS and max(abs(width * height), len(data)) > _MOST_IN_RUNS:
        raise TooLarge(
            f"a BMP that is compressed (RLE) may have up to {_MOST_IN_RUNS:,} pixels and bytes: save it as PNG"
        )
