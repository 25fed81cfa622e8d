"""Pictures of kilobytes or a few megabytes for which libraries worked for seconds before anything was known."""

import io
import struct

from PIL import Image


def _directory(*tags: tuple[int, int, int, int]) -> bytes:
    """Return a directory of a TIFF with these tags, types, numbers of values and values or offsets."""
    return struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)


def overlapping_tiff() -> bytes:
    """Return a TIFF of 72 KB with 5,000 directories of 4,000 entries, which lie over one another."""
    entries, directories = 4000, 5000
    first = _directory(*((tag, 4, 1, value) for tag, value in ((256, 16), (257, 16), (258, 8), (259, 1), (262, 1))))
    start = 8 + len(first) + 4
    size = 2 + 12 * entries
    following = b"".join(struct.pack("<I", start + 4 * (number + 1)) for number in range(directories - 1)) + bytes(4)
    shared = (struct.pack("<HH", entries, 0) * (size // 4 + 1))[:size]
    return b"II*\0\x08\0\0\0" + first + struct.pack("<I", start) + shared + following


def tiff_of_many_strips() -> bytes:
    """Return a TIFF of 16×16 pixels and 8 MB with 4 million offsets of strips."""
    number = 4_000_000
    tags = [(256, 4, 1, 16), (257, 4, 1, 16), (258, 4, 1, 8), (259, 4, 1, 1), (262, 4, 1, 1)]
    place = 8 + 2 + 12 * (len(tags) + 3) + 4
    directory = _directory(*tags, (273, 3, number, place), (278, 4, 1, 1), (279, 3, number, place))
    return b"II*\0\x08\0\0\0" + directory + bytes(4) + struct.pack("<H", 8) * number


def jpeg_of_many_scans() -> bytes:
    """Return a progressive JPEG of 60 KB and 6 megapixels with 490 scans."""
    picture = io.BytesIO()
    Image.new("RGB", (3000, 2000), "red").save(picture, "JPEG", progressive=True)
    data = picture.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * 480 + b"\xff\xd9"


def gif_of_many_frames() -> bytes:
    """Return a GIF of 13 MB with 800,000 frames of one pixel."""
    frame = b",\0\0\0\0\1\0\1\0\0\2\2\x44\1\0"
    return b"GIF89a" + struct.pack("<HHBBB", 16, 16, 0x80, 0, 0) + bytes(6) + frame * 800_000 + b";"
