"""The answer to a request: a finished picture, and how it was made."""

from typing import NamedTuple


class Stage(NamedTuple):
    """One stage of the work on a picture."""

    name: str
    """Name of the stage: `decode`, `queue`, `net` or `encode`."""
    started: float
    """Start of the stage, in seconds of `time.perf_counter`."""
    seconds: float
    """Duration of the stage in seconds."""


class Answer(NamedTuple):
    """A finished picture, and how it was made."""

    content: bytes
    """Bytes of the picture as a file."""
    media_type: str
    model: str
    """Name and version of the net, or of each net of a blend with its share."""
    width: int
    """Width in pixels of what was painted or enlarged: the upload, upright, and resized where that was asked for."""
    height: int
    """Height in pixels of what was painted or enlarged."""
    factor: float
    """Factor of enlargement; 1 for a painting."""
    frames: int
    """Frames or pages of the upload, of which the first was used; 1 if there is only one."""
    is_truncated: bool
    """Whether the upload lacked its end, but none of its pixels."""
    batch: int
    """Number of pictures that were computed together; 0 if nothing had to be computed."""
    stages: tuple[Stage, ...]
    """Stages of the work, in their order."""
