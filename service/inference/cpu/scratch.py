"""Scratch memory for the features of one large picture, which lies on disk where it would be too much for memory."""

import mmap
import os
import tempfile

import torch
from torch import Tensor

_MOST_IN_MEMORY = 2**31
"""Largest number of bytes that are not put on disk."""


def is_on_disk(size: int) -> bool:
    """Tell whether scratch memory of this many bytes lies on disk, on systems that can map it from there."""
    return size > _MOST_IN_MEMORY and hasattr(os, "posix_fallocate") and hasattr(mmap, "MADV_DONTNEED")


class Scratch:
    """Memory that is freed with this object, or a file in the folder for temporary files, mapped into memory.

    The file has no name, so that it ends with the process. The system keeps as much of it in memory as is free.

    Args:
        size: Number of bytes.

    Raises:
        OSError: The folder for temporary files has too little room.
    """

    def __init__(self, size: int) -> None:
        self._map = _map_file(size) if is_on_disk(size) else None
        self.bytes = torch.empty(size, dtype=torch.uint8) if self._map is None else _as_tensor(self._map)

    def release(self) -> None:
        """Let go of the memory that the process has mapped from disk; it is read again when it is used again."""
        if self._map is not None:
            self._map.madvise(mmap.MADV_DONTNEED)


def _map_file(size: int) -> mmap.mmap:
    with tempfile.TemporaryFile(prefix="impasto-") as file:
        os.posix_fallocate(file.fileno(), 0, size)  # a disk that is full later would end the process
        return mmap.mmap(file.fileno(), size)


def _as_tensor(mapped: mmap.mmap) -> Tensor:
    return torch.frombuffer(mapped, dtype=torch.uint8)
