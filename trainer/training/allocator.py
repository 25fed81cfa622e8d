"""The memory of a training process, which is kept from one step for the next."""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3) that say from which size on memory is given back."""
_MOST = 2**31 - 1
"""Largest value that mallopt(3) takes."""


def keep_freed_memory() -> None:
    """Have glibc give no memory back to the system before the process ends; other allocators are left as they are.

    By itself it gives large blocks back when they are freed, so that every step would have the system clear them again:
    a twentieth of its time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _MOST)
        mallopt(_TRIM_THRESHOLD, _MOST)
