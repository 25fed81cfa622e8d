"""The memory of the host that the process keeps: few large blocks and arenas, and few of cuDNN's plans."""

import ctypes
import os

from service.device.cores import usable_cores

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Numbers of the parameters of mallopt(3)."""
_LARGE = 12_000_000
"""Smallest block in bytes that is given back when it is freed; those of pictures of 256² are kept, for speed."""
_MOST_KEPT = 64_000_000
_MOST_PLANS = 2000
"""Number of cuDNN's plans that torch keeps for each thread."""


def give_back_large_blocks() -> None:
    """Have glibc keep no large blocks that were freed, and an arena a core; other allocators are left as they are.

    By itself, glibc learns from each freed block to keep others of its size, and in the end holds half as much memory
    again as is in use; and it has eight arenas a core, each of which keeps what some threads freed, so that the memory
    of a server grows for hours. To be called before other threads begin.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGE)
        mallopt(_TRIM_THRESHOLD, _MOST_KEPT)
        mallopt(_ARENA_MAX, max(2, usable_cores()))


def give_back_freed_memory() -> None:
    """Have glibc give back all memory that was freed, by malloc_trim(3); other allocators are left as they are."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)


def limit_plans() -> None:
    """Have torch keep fewer of cuDNN's plans, unless the environment says how many; before the first convolution.

    A plan is for one layer and one size of pictures, and takes about 200 kB. Torch would keep 10,000 for each lane:
    a style net's for 600 sizes.
    """
    os.environ.setdefault("TORCH_CUDNN_V8_API_LRU_CACHE_LIMIT", str(_MOST_PLANS))
