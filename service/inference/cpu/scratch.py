"""Scratch memory for the features of one large picture, which lies on disk where it would be too much for memory."""

import logging
import mmap
import os
import sys
import tempfile
from pathlib import Path

import torch
from torch import Tensor

_CPU = torch.device("cpu")
_MOST_IN_MEMORY = 2**30
"""Largest number of bytes that are not put on disk."""
_MOUNTS = Path("/proc/self/mounts")
"""File in which Linux shows the file systems that are mounted."""
_IN_MEMORY = ("tmpfs", "ramfs")
"""Kinds of file systems that keep files in memory."""
_log = logging.getLogger(__name__)


def is_on_disk(size: int) -> bool:
    """Tell whether scratch memory of this many bytes lies on disk: on Linux, if the temporary folder does."""
    return size > _MOST_IN_MEMORY and sys.platform == "linux" and _has_disk()


def _has_disk() -> bool:
    """Tell whether the folder for temporary files lies on disk, and not itself in memory, as in many containers."""
    try:
        folder = Path(tempfile.gettempdir()).resolve()
        systems = [line.split()[1:3] for line in _MOUNTS.read_text().splitlines()]
    except OSError:
        return False
    above = [(len(place), kind) for place, kind in systems if folder.is_relative_to(place)]
    return max(above, default=(0, "tmpfs"))[1] not in _IN_MEMORY


class Scratch:
    """Memory that is freed with this object, or a file in the folder for temporary files, mapped into memory.

    The file has no name, so that it ends with the process. The system keeps as much of it in memory as is free. Where
    the folder has too little room, or cannot be written to, memory has to do.

    Args:
        size: Number of bytes.
        device: Device in whose memory it lies; only that of a CPU may be a file.
    """

    def __init__(self, size: int, device: torch.device = _CPU) -> None:
        self._map = _map_file(size) if device.type == "cpu" and is_on_disk(size) else None
        self.bytes = torch.empty(size, dtype=torch.uint8, device=device) if self._map is None else _as_tensor(self._map)

    def release(self) -> None:
        """Let go of the memory that the process has mapped from disk; it is read again when it is used again."""
        if self._map is not None:
            self._map.madvise(mmap.MADV_DONTNEED)


def _map_file(size: int) -> mmap.mmap | None:
    """Return a new file that is mapped into memory, or None if there is no room for it."""
    try:
        with tempfile.TemporaryFile(prefix="impasto-") as file:
            os.posix_fallocate(file.fileno(), 0, size)  # if the disk were full only later, the process would end
            return mmap.mmap(file.fileno(), size)
    except OSError as error:
        _log.warning("%d MB of scratch memory are not on disk: %s", size // 10**6, error)
        return None


def _as_tensor(mapped: mmap.mmap) -> Tensor:
    return torch.frombuffer(mapped, dtype=torch.uint8)
