"""The structure of GIF (GIF89a, appendix B): counting its frames, and cutting out the first one."""

from service.codec.structure.file import CheckedFile
from service.contract.problems import BadPicture, TooLarge

_MOST_FRAMES = 10_000
"""Largest number of frames that an animation may have."""
_MOST_BLOCKS = 1_000_000
"""Largest number of blocks that are walked through; a GIF of 64 MiB has a quarter of them."""
_HEADER = 13
_DISPOSAL = 0x1C
"""The bits of a graphic control extension that say what becomes of the picture when the next one is shown."""
_EXTENSION, _CONTROL, _IMAGE, _TRAILER = 0x21, 0xF9, 0x2C, 0x3B


def check_gif(data: bytes) -> CheckedFile:
    """Count the frames of a GIF, and return it with the first one only.

    Raises:
        BadPicture: It has no frame.
        TooLarge: It has too many frames or blocks.
    """
    place = start = _HEADER + _table(data, 10)
    frames = blocks = 0
    control = b""
    first = b""
    while place < len(data) and data[place] != _TRAILER and blocks <= _MOST_BLOCKS:
        begin, kind = place, data[place]
        if kind == _IMAGE:
            place += 10 + _table(data, place + 9) + 1
        elif kind == _EXTENSION:
            place += 2
        elif frames:  # not a block: what follows is no frame
            break
        else:  # Pillow, too, looks for the first frame behind bytes that are no block
            place += 1
            blocks += 1
            continue
        place, passed = _behind_blocks(data, place)
        blocks += passed
        if kind == _EXTENSION:
            if frames == 0 and data[begin + 1 : begin + 2] == bytes([_CONTROL]):
                control = _undisposed(data[begin:place])
            continue
        frames += 1
        if frames == 1:
            first = b"".join((data[:start], control, data[begin:place], bytes([_TRAILER])))
        if frames > _MOST_FRAMES:
            raise TooLarge(f"the picture has more than {_MOST_FRAMES:,} frames or pages: send one of them")
    if blocks > _MOST_BLOCKS:
        raise TooLarge(f"the GIF has more than {_MOST_BLOCKS:,} blocks: save it anew")
    if not frames:
        raise BadPicture("the picture is broken or cut short: send the whole file")
    return CheckedFile(first, frames)


def _behind_blocks(data: bytes, place: int) -> tuple[int, int]:
    """Return the place behind a sequence of blocks, and their number with the empty one that ends it."""
    blocks = 1
    while place < len(data) and data[place] and blocks <= _MOST_BLOCKS:
        place += data[place] + 1
        blocks += 1
    return place + 1, blocks


def _undisposed(control: bytes) -> bytes:
    """Return a graphic control extension that leaves its picture as it is, which changes nothing for a single one.

    For a picture that is to be erased afterwards, Pillow fills one of the size of the screen as soon as it opens the
    file, before that size can be checked.
    """
    return control[:3] + bytes([control[3] & ~_DISPOSAL]) + control[4:] if len(control) > 3 else control


def _table(data: bytes, at: int) -> int:
    """Return the bytes of the table of colours that the flags at a place announce."""
    flags = data[at] if at < len(data) else 0
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0
