"""Mutations of picture files that know how files are built, so that a decoder does not refuse them at the first look.

A file is taken apart as its format is built (chunks, segments, directories, blocks, boxes), one part is changed, and it
is put together again with lengths and checksums that fit. Now and then a length is left wrong, or bytes anywhere are
changed, whatever they mean.
"""

import struct
import zlib
from collections.abc import Callable
from random import Random

_EDGES = (0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 63, 64, 127, 128, 255, 256, 257, 1000, 4095, 4096, 32767, 32768)
_LARGE = (65534, 65535, 65536, 2**20, 2**24, 2**28, 2**31 - 1, 2**31, 2**32 - 1, 2**32 - 2, 2**63, 2**64 - 1)
NUMBERS = _EDGES + _LARGE
"""Numbers near the limits of what programs count with."""
MOST_BYTES = 16_384
"""Largest number of bytes of a mutated file."""


def mutated(file: bytes, other: bytes, random: Random) -> bytes:
    """Return a file with one to four mutations.

    Args:
        file: The file to change.
        other: Another file, parts of which may be put into it.
        random: Where the choices come from: the same numbers make the same file.
    """
    for _ in range(random.choice((1, 1, 2, 4))):
        kinds = [mutate for signature, mutate in _STRUCTURES if file.startswith(signature[1], signature[0])]
        mutate = kinds[0] if kinds and random.random() < 0.7 else _bytes
        try:
            file = mutate(file, random)
        except (
            ArithmeticError,
            LookupError,
            ValueError,
            struct.error,
            zlib.error,
        ):  # too broken to be taken apart
            file = _bytes(file, random)
    if random.random() < 0.05:
        at = random.randrange(len(file) + 1)
        file = file[:at] + other[random.randrange(len(other)) :]
    return file[:MOST_BYTES]


def _bytes(file: bytes, random: Random) -> bytes:
    """Change bytes wherever they are."""
    if not file:
        return random.randbytes(9)
    start = random.randrange(len(file))
    stop = min(len(file), start + random.choice((1, 2, 4, 8, 64, 1024)))
    number = _number(random)
    return random.choice(
        (
            file[:start] + random.randbytes(random.choice((1, 2, 4))) + file[start + 1 :],
            file[:start] + number + file[start + len(number) :],
            file[:start] + number + file[stop:],
            file[:start] + file[stop:],
            file[:start] + file[start:stop] * random.choice((2, 3, 50)) + file[stop:],
            file[:start],
        )
    )


def _number(random: Random) -> bytes:
    size = random.choice("BHIQ")
    bits = 8 * struct.calcsize(size)
    return struct.pack(random.choice("<>") + size, random.choice(NUMBERS) % 2**bits)


def _rearranged(parts: list[bytes], random: Random, change: Callable[[bytes, Random], bytes]) -> list[bytes]:
    """Change, repeat, drop or exchange parts."""
    at, with_which = random.randrange(len(parts)), random.randrange(len(parts))
    way = random.randrange(8)
    if way == 0:
        return parts[:at] + parts[at + 1 :]
    if way == 1:
        return parts[: at + 1] + [parts[with_which]] * random.choice((1, 2, 20)) + parts[at + 1 :]
    if way == 2:
        parts[at], parts[with_which] = parts[with_which], parts[at]
    else:
        parts[at] = change(parts[at], random)
    return parts


def _png(file: bytes, random: Random) -> bytes:
    chunks, place = [], 8
    while place + 12 <= len(file):
        length = 12 + int.from_bytes(file[place : place + 4], "big")
        chunks.append(file[place : place + length])
        place += length
    return file[:8] + b"".join(_rearranged(chunks, random, _chunk))


def _chunk(chunk: bytes, random: Random) -> bytes:
    kind, content = chunk[4:8], chunk[8:-4]
    if random.random() < 0.1:
        kind = random.choice((b"IDAT", b"PLTE", b"tRNS", b"eXIf", b"iCCP", b"acTL", b"zTXt", b"iTXt", b"gAMA", b"sRGB"))
    elif kind == b"IDAT" and random.random() < 0.5:
        content = zlib.compress(_bytes(zlib.decompress(content), random))
    elif kind == b"IHDR" and random.random() < 0.5:
        at = random.randrange(8, len(content))
        content = content[:at] + bytes([random.choice((0, 1, 2, 3, 4, 6, 8, 16))]) + content[at + 1 :]
    elif kind == b"eXIf":
        content = _tiff(content, random)
    else:
        content = _bytes(content, random)
    checksum = zlib.crc32(kind + content) if random.random() < 0.95 else 0
    return struct.pack(">I4s", len(content), kind) + content + struct.pack(">I", checksum)


def _jpeg(file: bytes, random: Random) -> bytes:
    segments, place = [], 2
    while file[place] == 0xFF and file[place + 1] != 0xD9:
        stop = place + 2 + int.from_bytes(file[place + 2 : place + 4], "big")
        if file[place + 1] == 0xDA:  # the pixels behind a scan's header belong to it
            while not (file[stop] == 0xFF and file[stop + 1] not in (0, *range(0xD0, 0xD8))):
                stop += 1
        segments.append(file[place:stop])
        place = stop
    return file[:2] + b"".join(_rearranged(segments, random, _segment)) + file[place:]


def _segment(segment: bytes, random: Random) -> bytes:
    content = segment[4:]
    if content.startswith(b"Exif\0\0") and random.random() < 0.8:
        content = content[:6] + _tiff(content[6:], random)
    elif random.random() < 0.5 and content:  # a single value, which is small in most headers
        at = random.randrange(min(len(content), 20))
        content = content[:at] + bytes([random.choice((0, 1, 2, 3, 4, 8, 17, 34, 63, 64, 255))]) + content[at + 1 :]
    else:
        content = _bytes(content, random)
    kind = segment[1] if random.random() < 0.9 else random.choice((0xC0, 0xC1, 0xC2, 0xC9, 0xCA, 0xC4, 0xDB, 0xDD))
    if segment[1] == 0xDA:
        return bytes([0xFF, kind]) + segment[2:4] + content
    return bytes([0xFF, kind]) + struct.pack(">H", min(len(content) + 2, 65_535)) + content[:65_533]


def _tiff(file: bytes, random: Random) -> bytes:
    """Change an entry of a directory, or the number of its entries."""
    order = "<" if file[:1] == b"I" else ">"
    is_big = file[2:4] in (b"+\0", b"\0+")
    count_as, offset_as, entry = ("Q", "Q", 20) if is_big else ("H", "I", 12)
    (place,) = struct.unpack_from(order + offset_as, file, 8 if is_big else 4)
    while random.random() < 0.3:  # a further directory, if there is one
        (count,) = struct.unpack_from(order + count_as, file, place)
        (following,) = struct.unpack_from(order + offset_as, file, place + struct.calcsize(count_as) + count * entry)
        if not 0 < following < len(file):
            break
        place = following
    (count,) = struct.unpack_from(order + count_as, file, place)
    changed = bytearray(file)
    if random.random() < 0.1:
        struct.pack_into(order + count_as, changed, place, random.choice(_EDGES))
        return bytes(changed)
    at = place + struct.calcsize(count_as) + random.randrange(count) * entry
    field, fmt = random.choice(((0, "H"), (2, "H"), (4, offset_as), (entry // 2 + 2, offset_as), (entry // 2 + 2, "H")))
    if field == 0:
        value = random.choice((254, 256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 317, 322, 330, 338, 339, 34665))
    elif field == 2:
        value = random.randrange(20)
    else:
        (old,) = struct.unpack_from(order + fmt, changed, at + field)
        value = random.choice((*NUMBERS, old + 1, old - 1, 2 * old, place, len(file), 5, 6, 32773, 34712, 34892, 50001))
    struct.pack_into(order + fmt, changed, at + field, value % 2 ** (8 * struct.calcsize(fmt)))
    return bytes(changed)


def _gif(file: bytes, random: Random) -> bytes:
    """Change the header, or a block: a control, a comment, or a picture's header or data."""
    place = 13 + (3 << ((file[10] & 7) + 1) if file[10] & 0x80 else 0)
    if random.random() < 0.2:
        return file[:6] + _bytes(file[6:13], random)[:7] + file[13:]
    blocks = []
    while file[place] != 0x3B:
        stop = place + 2
        if file[place] == 0x2C:
            stop = place + 11 + (3 << ((file[place + 9] & 7) + 1) if file[place + 9] & 0x80 else 0)
        while file[stop]:
            stop += file[stop] + 1
        blocks.append(file[place : stop + 1])
        place = stop + 1
    start = 13 + (3 << ((file[10] & 7) + 1) if file[10] & 0x80 else 0)
    return file[:start] + b"".join(_rearranged(blocks, random, _bytes)) + file[place:]


def _riff(file: bytes, random: Random) -> bytes:
    chunks, place = [], 12
    while place + 8 <= len(file):
        length = int.from_bytes(file[place + 4 : place + 8], "little")
        chunks.append(file[place : place + 8 + length + length % 2])
        place += 8 + length + length % 2
    body = b"".join(_rearranged(chunks, random, _riff_chunk))
    return b"RIFF" + struct.pack("<I", len(body) + 4) + file[8:12] + body


def _riff_chunk(chunk: bytes, random: Random) -> bytes:
    content = chunk[8:]
    content = _tiff(content, random) if chunk[:4] == b"EXIF" and random.random() < 0.8 else _bytes(content, random)
    return chunk[:4] + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


_NESTED = (
    *(b"meta", b"iprp", b"ipco", b"iinf", b"iref"),
    *(b"moov", b"trak", b"mdia", b"minf", b"stbl", b"mvex", b"moof", b"traf"),
)


def _boxes(file: bytes, random: Random) -> bytes:
    """Change a box of the ISO base media file format, also one inside another; the lengths around it stay right."""
    boxes, place = [], 0
    while place + 8 <= len(file):
        length = int.from_bytes(file[place : place + 4], "big")
        if length < 8:
            length = len(file) - place
        boxes.append(file[place : place + length])
        place += length
    return b"".join(_rearranged(boxes, random, _box))


def _box(box: bytes, random: Random) -> bytes:
    kind, content = box[4:8], box[8:]
    if kind in _NESTED and random.random() < 0.9:
        own = {b"meta": 4, b"iinf": 6, b"iref": 4}.get(kind, 0)
        content = content[:own] + _boxes(content[own:], random)
    elif (
        kind == b"mdat" and (exif := max(content.find(b"II*\0"), content.find(b"MM\0*"))) >= 0 and random.random() < 0.5
    ):
        content = content[:exif] + _tiff(content[exif:], random)
    else:
        content = _bytes(content, random)
    return struct.pack(">I4s", len(content) + 8, kind) + content


def _bmp(file: bytes, random: Random) -> bytes:
    """Change a field of the header."""
    at = random.choice((10, 14, 18, 20, 22, 24, 26, 28, 30, 34, 46, 50))
    number = struct.pack("<I", random.choice((*NUMBERS[:-2], 12, 40, 52, 56, 108, 124)))[: random.choice((2, 4))]
    return file[:at] + number + file[at + len(number) :]


_STRUCTURES: list[tuple[tuple[int, bytes], Callable[[bytes, Random], bytes]]] = [
    ((0, b"\x89PNG"), _png),
    ((0, b"\xff\xd8"), _jpeg),
    *(((0, mark), _tiff) for mark in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    ((0, b"GIF8"), _gif),
    ((0, b"RIFF"), _riff),
    ((4, b"ftyp"), _boxes),
    ((0, b"BM"), _bmp),
]
"""For each format the place and bytes that it is known by, and its mutation."""
