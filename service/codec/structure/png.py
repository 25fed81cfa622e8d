"""The structure of PNG: the chunks that matter are kept, and the pixels of a file without its end are completed.

Chunks that only tell something, such as texts and times, may be broken or very large without hurting the picture (PNG
specification, third edition, section 13.1): they are left out.
"""

import struct
import zlib
from typing import NamedTuple

from service.codec.structure.file import CheckedFile
from service.contract.problems import BadPicture, TooLarge, UnsupportedFormat

SIGNATURE = b"\x89PNG\r\n\x1a\n"
"""First bytes of a PNG."""
_MOST_FRAMES = 10_000
"""Largest number of frames that an animation may have."""
_MOST_CHUNKS = 30_000
"""Largest number of chunks of a PNG."""
_MOST_TEXT = 8 * 1024**2
"""Largest number of bytes that all compressed texts may have together."""
_LEAST_TEXT = 8 * 1024
"""Number of bytes that each compressed text counts at least, as beginning to inflate one takes its time, too."""
_STEP = 64 * 1024
"""Bytes of a text that are inflated at a time."""
_LARGEST_PROFILE = 4 * 1024**2
"""Largest number of bytes of an ICC profile."""
_LARGEST_XMP = 1024**2
"""Largest number of bytes of the XMP."""
_LARGEST_COMPLETED = 256 * 1024**2
"""Largest number of bytes of the pixels of a file that is completed."""
_XMP = b"XML:com.adobe.xmp\0"
_USUAL_GAMMA = range(45_000, 46_001)
"""Values of gAMA, in 1/100,000, that stand for the encoding of sRGB."""
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column, first row, and steps of columns and rows, of each pass of an interlaced picture."""
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Numbers of channels of the colour types."""


class _Chunk(NamedTuple):
    kind: bytes
    data: bytes
    is_whole: bool
    is_sound: bool
    """Whether the checksum of the chunk is right; not computed for pixels."""


def check_png(data: bytes) -> CheckedFile:
    """Return a PNG with the chunks of its first picture, of its EXIF and of its XMP.

    Raises:
        BadPicture: Its structure is broken.
        TooLarge: It has too many frames.
        UnsupportedFormat: It is of the kind that Apple's tools make for applications.
    """
    chunks, is_cut = _chunks(data)
    if chunks and chunks[0].kind == b"CgBI":
        raise UnsupportedFormat("this kind of PNG (CgBI, from an iPhone application) is not supported: save it anew")
    if not chunks or chunks[0].kind != b"IHDR" or len(chunks[0].data) != 13:
        raise BadPicture("the picture is broken or cut short: send the whole file")
    _check_texts(chunks)
    sound = {each.kind: each.data for each in chunks if each.is_sound}
    frames = int.from_bytes(sound.get(b"acTL", b"")[:4], "big")
    if frames > _MOST_FRAMES:
        raise TooLarge(f"the picture has more than {_MOST_FRAMES:,} frames or pages: send one of them")
    kept = [_packed(b"IHDR", chunks[0].data)]
    kept += [_packed(kind, sound[kind]) for kind in (b"PLTE", b"tRNS", b"eXIf") if kind in sound]
    kept += [_packed(each.kind, each.data) for each in chunks if _is_xmp(each)][:1]
    pixels = b"".join(each.data for each in chunks if each.kind == b"IDAT")
    if not pixels:
        raise BadPicture("the picture is broken or cut short: send the whole file")
    profile = _profile(sound.get(b"iCCP"))
    is_told = profile is not None or b"sRGB" in sound or b"cICP" in sound
    return CheckedFile(
        b"".join((SIGNATURE, *kept, _packed(b"IDAT", pixels), _packed(b"IEND", b""))),
        max(1, frames),
        is_cut,
        None if is_told else _gamma(sound.get(b"gAMA", b"")),
        profile,
        chunks[0].data[8] == 16,
    )


def completed(data: bytes) -> bytes:
    """Return a PNG whose pixels are whole, although their stream may lack its end.

    Args:
        data: A PNG that `check_png` returned.

    Raises:
        ValueError: Pixels are missing.
    """
    chunks, _ = _chunks(data)
    needed = _pixel_bytes(chunks[0].data)
    if needed > _LARGEST_COMPLETED:
        raise ValueError("the end of the file is missing")
    stream = zlib.decompressobj()
    pixels = stream.decompress(next(each.data for each in chunks if each.kind == b"IDAT"), needed)
    if len(pixels) < needed:
        raise ValueError("pixels are missing")
    if stream.eof:
        return data
    packed = (_packed(each.kind, zlib.compress(pixels, 1) if each.kind == b"IDAT" else each.data) for each in chunks)
    return b"".join((SIGNATURE, *packed))


def _chunks(data: bytes) -> tuple[list[_Chunk], bool]:
    """Return the chunks up to the end of a PNG, and whether the end is missing."""
    chunks: list[_Chunk] = []
    place = len(SIGNATURE)
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        content = data[place + 8 : place + 8 + length]
        checksum = data[place + 8 + length : place + 12 + length]
        place += 12 + length
        is_sound = kind == b"IDAT" or checksum == struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))
        # A header or palette with a wrong checksum is left to the decoder, which refuses it.
        if kind == b"IEND":
            return chunks, place > len(data)
        if not is_sound and not kind[0] & 0x20 and place <= len(data):
            raise BadPicture(f"the picture is broken (checksum of {kind.decode('latin-1')}): send the whole file")
        chunks.append(_Chunk(kind, content, len(content) == length, is_sound))
        if len(chunks) > _MOST_CHUNKS:
            raise TooLarge(f"the PNG has more than {_MOST_CHUNKS:,} chunks: save it anew")
    return chunks, True


def _check_texts(chunks: list[_Chunk]) -> None:
    """Refuse texts that would inflate to more than any picture needs; they are looked at, not kept."""
    room = _MOST_TEXT
    for each in chunks:
        stream = _compressed_text(each)
        if stream is not None:
            room -= max(_LEAST_TEXT, _inflated_bytes(stream, room))
        if room <= 0:
            raise BadPicture(f"the PNG has too many texts, or more than {_MOST_TEXT:,} bytes of them: save it without")


def _compressed_text(chunk: _Chunk) -> bytes | None:
    if chunk.kind == b"zTXt":
        return chunk.data.partition(b"\0")[2][1:]
    if chunk.kind == b"iTXt":
        flags = chunk.data.partition(b"\0")[2]
        if flags[:1] == b"\1":
            return flags[2:].split(b"\0", 2)[-1]
    return None


def _is_xmp(chunk: _Chunk) -> bool:
    if chunk.kind != b"iTXt" or not chunk.is_sound or not chunk.data.startswith(_XMP):
        return False
    compressed = _compressed_text(chunk)
    size = len(chunk.data) if compressed is None else len(_inflated(compressed, _LARGEST_XMP) or b"")
    return 0 < size < _LARGEST_XMP


def _profile(content: bytes | None) -> bytes | None:
    profile = None if content is None else _inflated(content.partition(b"\0")[2][1:], _LARGEST_PROFILE + 1)
    return profile if profile and len(profile) <= _LARGEST_PROFILE else None


def _gamma(content: bytes) -> float | None:
    value = int.from_bytes(content, "big") if len(content) == 4 else 0
    return value / 100_000 if value and value not in _USUAL_GAMMA else None


def _inflated(stream: bytes, most: int) -> bytes | None:
    """Return at most so many bytes of a compressed text, or None if it is broken."""
    try:
        return zlib.decompressobj().decompress(stream, max(1, most))
    except zlib.error:
        return None


def _inflated_bytes(stream: bytes, most: int) -> int:
    """Return the bytes that a compressed text inflates to, at most so many; they are not kept."""
    inflating, rest, total = zlib.decompressobj(), stream, 0
    try:
        while rest and total < most:
            total += len(inflating.decompress(rest, _STEP))
            rest = inflating.unconsumed_tail
    except zlib.error:
        return total
    return total


def _pixel_bytes(header: bytes) -> int:
    """Return the bytes of the filtered rows that the header of a PNG announces."""
    width, height, depth, colour_type, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    bits = depth * _CHANNELS.get(colour_type, 4)
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    total = 0
    for left, top, across, down in passes:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + -(-columns * bits // 8))
    return total


def _packed(kind: bytes, content: bytes) -> bytes:
    return b"".join(
        (struct.pack(">I", len(content)), kind, content, struct.pack(">I", zlib.crc32(content, zlib.crc32(kind))))
    )
