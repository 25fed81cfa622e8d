"""A picture that was made, and what is told about it."""

from typing import NamedTuple


class Stage(NamedTuple):
    """A part of the work on a picture."""

    name: str
    """`decode`, `queue`, `net` or `encode`."""
    started: float
    """When it began, by `time.perf_counter`."""
    seconds: float
    """How long it took."""


class Answer(NamedTuple):
    """A picture to send, and what is told about it."""

    content: bytes
    media_type: str
    model: str
    """Name and version of the net, or of each net of a blend with its share."""
    width: int
    """Width in pixels of what was painted or enlarged: the upload, upright, and resized where that was asked for."""
    height: int
    """Height in pixels of the same."""
    factor: int
    """Factor of enlargement; 1 for a painting."""
    frames: int
    """Frames or pages of the upload, of which the first was used; 1 if there is only one."""
    batch: int
    """Number of pictures that were computed together; 0 where there was nothing to compute."""
    stages: tuple[Stage, ...]
    """The parts of the work, in their order."""
