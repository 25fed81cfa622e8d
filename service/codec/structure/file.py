"""The facts about a file's structure that are known before a library reads it."""

from typing import NamedTuple


class CheckedFile(NamedTuple):
    """A file whose structure was checked."""

    data: bytes
    """The bytes that a library is given: the first picture, without what could make it slow or fail."""
    frames: int = 1
    """Number of frames of an animation; 1 for other pictures."""
    is_cut: bool = False
    """Whether the end of the file is missing; its pixels may be whole nevertheless."""
    gamma: float | None = None
    """The exponent of the encoding that a PNG has instead of a profile, or None if it is that of sRGB."""
    profile: bytes | None = None
    """The ICC profile, where it was taken out of the bytes."""
    is_deep: bool = False
    """Whether a PNG has 16 bits a channel."""
