"""The structure of JPEG (ITU-T T.81, annex B): its kind, its scans, and whether its end is missing."""

import re
import struct
from typing import NamedTuple

from service.codec.structure.directories import is_sound
from service.codec.structure.file import CheckedFile
from service.contract.problems import BadPicture, TooLarge, UnsupportedFormat

_MOST_SEGMENTS = 20_000
"""Largest number of segments of a JPEG."""
_MOST_STEPS = 100_000
"""Largest number of markers, and of bytes that only fill, between segments."""
_MOST_SCANS = 64
"""Number of scans of a JPEG that are decoded, each of which may cost a pass over all pixels; usual files have about
ten."""
_READ_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
"""Kinds of frames that are read: baseline, extended and progressive, with Huffman or arithmetic coding."""
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN, _END, _APP1, _APP2 = 0xDA, 0xD9, 0xE1, 0xE2
_EXIF = b"Exif\0\0"
_ALONE = frozenset({0x01, 0xD8, *range(0xD0, 0xD8)})
"""Markers without content."""
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""A marker among the pixels' data, other than those of restarts."""
_FILL = b"\x5a\x93\x26\xb1\x4e\xd7\x69\x35" * 4
"""Data that stands for pixels of noise."""
_COEFFICIENTS = 64


class _Frame(NamedTuple):
    kind: int
    bits: int
    components: tuple[int, ...]


def check_jpeg(data: bytes) -> CheckedFile:
    """Walk through the segments of a JPEG up to its end, or to the last scan that is decoded.

    Each scan of a progressive JPEG shows the whole picture more finely, so that it can be shown without the later ones.

    Raises:
        BadPicture: It has no pixels.
        TooLarge: It has too many segments.
        UnsupportedFormat: It is of a kind that is not read.
    """
    place, segments, scans, steps = 2, 0, 0, 0
    exif: list[slice] = []
    left_out: list[slice] = []
    frame: _Frame | None = None
    left: dict[int, set[int]] = {}
    while (place := data.find(b"\xff", place)) >= 0 and place + 1 < len(data):
        kind = data[place + 1]
        steps += 1
        if steps > _MOST_STEPS:
            raise TooLarge(f"the JPEG has more than {_MOST_STEPS:,} markers: save it anew")
        if kind == 0xFF:
            place += 1
            continue
        place += 2
        if kind == _END:
            return _checked(_without(data, _unsound(data, exif) + left_out), frame, scans, is_cut=False)
        if kind == _SCAN and scans == _MOST_SCANS:
            shown = _without(data, [*_unsound(data, exif), *left_out, slice(place - 2, len(data))])
            return _checked(shown + bytes([0xFF, _END]), frame, scans, is_cut=False)
        if kind in _ALONE or kind == 0:
            continue
        segments += 1
        content = data[place + 2 : place + int.from_bytes(data[place : place + 2], "big")]
        segment = slice(place - 2, place + 2 + len(content))
        place += 2 + len(content)
        if kind == _APP1 and content.startswith(_EXIF):
            exif.append(segment)
        elif kind == _APP2 and content.startswith(b"MPF\0"):  # the directory of further pictures in the file
            left_out.append(segment)
        if segments > _MOST_SEGMENTS:
            raise TooLarge(f"the JPEG has more than {_MOST_SEGMENTS:,} segments: save it anew")
        if kind in _FRAMES and frame is None:
            frame = _frame(kind, content)
            left = {each: set(range(_COEFFICIENTS)) for each in frame.components}
        if kind == _SCAN:
            scans += 1
            _take_off(left, content)
            following = _MARKER.search(data, place)
            place = len(data) if following is None else following.start()
    if frame is None or not scans or any(left.values()):
        raise BadPicture("the picture is broken or cut short: send the whole file")
    return _checked(_without(data, _unsound(data, exif) + left_out), frame, scans, is_cut=True)


def completions(data: bytes) -> tuple[bytes, bytes]:
    """Return a JPEG without its end, completed in two ways: by nothing, and by pixels of noise.

    Both show the same picture exactly if no pixels are missing.
    """
    whole = data.rstrip(b"\xff")
    noise = b"".join(_FILL + bytes([0xFF, 0xD0 + number]) for number in range(8)) + _FILL
    end = bytes([0xFF, _END])
    return whole + end, whole + noise + end


def _unsound(data: bytes, exif: list[slice]) -> list[slice]:
    """Return the segments of EXIF if reading it would cost much, which Pillow does as soon as it opens the file."""
    start = 4 + len(_EXIF)
    return [] if is_sound(b"".join(data[each][start:] for each in exif)) else exif


def _without(data: bytes, segments: list[slice]) -> bytes:
    """Return a file without some segments."""
    if not segments:
        return data
    ordered = sorted(segments, key=lambda each: each.start)
    edges = [0, *(edge for each in ordered for edge in (each.start, each.stop)), len(data)]
    return b"".join(data[start:stop] for start, stop in zip(edges[::2], edges[1::2], strict=True))


def _checked(data: bytes, frame: _Frame | None, scans: int, *, is_cut: bool) -> CheckedFile:
    if frame is None or not scans:
        raise BadPicture("the picture is broken or cut short: send the whole file")
    return CheckedFile(data, is_cut=is_cut)


def _frame(kind: int, content: bytes) -> _Frame:
    if len(content) < 6:
        raise BadPicture("the picture is broken or cut short: send the whole file")
    bits, count = struct.unpack_from(">B4xB", content)
    if kind not in _READ_FRAMES or bits != 8 or count not in (1, 3, 4):
        coding = "" if kind in _READ_FRAMES else ", lossless or hierarchical"
        raise UnsupportedFormat(
            f"this kind of JPEG ({bits}-bit, {count} channels{coding}) is not supported: "
            "save it as a usual JPEG, or as PNG"
        )
    return _Frame(kind, bits, tuple(content[6 : 6 + 3 * count : 3]))


def _take_off(left: dict[int, set[int]], scan: bytes) -> None:
    """Take off the coefficients that a scan gives the last bits of."""
    count = scan[0] if scan else 0
    if len(scan) < 4 + 2 * count or scan[3 + 2 * count] & 0x0F:
        return
    first, last = scan[1 + 2 * count], scan[2 + 2 * count]
    for component in scan[1 : 1 + 2 * count : 2]:
        left.get(component, set()).difference_update(range(first, last + 1))
