"""The limits that the kernel sets to the process of a film."""

import resource

_MEMORY = 2 * 1024**3
"""Bytes of memory of a process, besides those of its frames."""
_BYTES_PER_PIXEL = 400
"""Bytes of memory for each pixel of the largest frame: those of the frames that a decoder and an encoder keep, and of
those that calm painting mixes."""
_SECONDS = 60
"""Seconds of a processor for a film, and again for each second of the longest film."""
_GRACE_S = 5
"""Seconds between the signal that tells that the processor's time is over and the one that kills."""
_FILES = 64
"""Largest number of open files."""


def limit_this_process(max_pixels: int, max_seconds: float) -> None:
    """Limit the memory, the time and the files of this process, which can write no file any more.

    Args:
        max_pixels: Largest number of pixels of a frame.
        max_seconds: Length of the longest film in seconds.
    """
    seconds = round(_SECONDS * (1 + max_seconds))
    _limit(resource.RLIMIT_DATA, _MEMORY + _BYTES_PER_PIXEL * max_pixels)
    _limit(resource.RLIMIT_CPU, seconds, seconds + _GRACE_S)
    _limit(resource.RLIMIT_NOFILE, _FILES)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)


def _limit(kind: int, soft: int, hard: int | None = None) -> None:
    """Set a limit, or leave it as it is where it is lower."""
    _, most = resource.getrlimit(kind)
    if most == resource.RLIM_INFINITY:
        most = max(soft, hard or soft)
    resource.setrlimit(kind, (min(soft, most), min(hard or soft, most)))
