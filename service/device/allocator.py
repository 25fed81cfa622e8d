"""How the process gives memory back to the system: at once, where it is much."""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Of mallopt(3)."""
_LARGE = 12_000_000
"""Bytes of a block that is given back when it is freed; those of pictures of 256² stay, which makes them faster."""
_MOST_KEPT = 64_000_000


def give_back_large_blocks() -> None:
    """Has glibc keep no large blocks; other allocators are left as they are.

    By itself it learns from blocks that were freed to keep others of their size, for each thread, and in the end has
    half as much again as is in use.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGE)
        mallopt(_TRIM_THRESHOLD, _MOST_KEPT)
