"""How the process gives memory back to the system: at once, where it is much."""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Numbers of the parameters of mallopt(3)."""
_LARGE = 12_000_000
"""Smallest block in bytes that is given back when it is freed; those of pictures of 256² are kept, for speed."""
_MOST_KEPT = 64_000_000


def give_back_large_blocks() -> None:
    """Have glibc keep no large blocks that were freed; other allocators are left as they are.

    By itself, glibc learns from each freed block to keep others of its size, for each thread, and in the end holds half
    as much memory again as is in use.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGE)
        mallopt(_TRIM_THRESHOLD, _MOST_KEPT)
