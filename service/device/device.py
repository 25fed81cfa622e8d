"""The choice of the device that nets run on, and how much that device can do at once."""

import os
from pathlib import Path
from typing import NamedTuple

import torch

from model_store.errors import ImpastoError
from service.device.cores import CGROUPS, usable_cores

_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")
"""Files with the memory limit of this process's container, in version 2 and in version 1 of cgroups."""
_MODEL_SHARE, _BATCH_SHARE = 1 / 8, 1 / 4
"""Shares of the device's memory for the weights of models and for batches; the rest is for everything else."""
_BYTES_PER_PIXEL = 1000
"""Bytes of memory that a net needs at once for each pixel that it makes."""
_MOST_CPU_LANES = 8
"""Largest number of lanes on a CPU; more would wait for memory rather than for cores."""
_PROCESS_BYTES = 700_000_000
"""Bytes of memory of an idle process that has computed on a CPU before."""
_NET_SHARE = 5 / 6
"""Share for nets of a CPU's memory beside the process and the models; the rest is for pictures that wait, are read
or are written."""
_BYTES_IN_FLIGHT = 24
"""Bytes of memory for each pixel of an upload or an answer, on average: 3 while it waits, and up to 70 while it is
read or written, as only few are at a time."""
_MOST_PIXELS_IN_FLIGHT = 100_000_000
"""Largest number of pixels of uploads and answers in flight, however much memory there is."""


class Capacity(NamedTuple):
    """The amounts of work and of memory that suit a device."""

    lanes: int
    """Number of batches that are computed at the same time."""
    batch: int
    """Largest number of pictures in a batch; 1 on a CPU, which gains nothing from more."""
    batch_pixels: int
    """Largest number of output pixels in a batch of several pictures."""
    model_bytes: int
    """Bytes of memory for the weights that are kept on the device."""
    net_bytes: int | None
    """Bytes of memory that nets compute in, on all lanes together; None on CUDA, which recovers if memory runs out."""
    pixels_in_flight: int
    """Largest number of pixels of uploads and answers in flight."""


def capacity_of(device: torch.device, processes: int = 1, cgroups: Path = CGROUPS) -> Capacity:
    """Return the capacity of a device, from which settings that are left open get their values.

    Args:
        device: Device that this process shares with the others.
        processes: Number of processes that compute at the same time.
        cgroups: Folder in which Linux shows the limits of this process's container.
    """
    memory = memory_of(device, cgroups) // processes
    pixels_in_flight = _MOST_PIXELS_IN_FLIGHT // processes
    if device.type == "cuda":
        return Capacity(2, 32, _batch_pixels(memory, 2), int(memory * _MODEL_SHARE), None, max(1, pixels_in_flight))
    lanes = min(torch.get_num_threads(), _MOST_CPU_LANES)
    model_bytes = int(memory * _MODEL_SHARE)
    spare = max(0, memory - model_bytes - _PROCESS_BYTES)
    net_bytes = int(spare * _NET_SHARE)
    pixels_in_flight = max(1, min(pixels_in_flight, (spare - net_bytes) // _BYTES_IN_FLIGHT))
    return Capacity(lanes, 1, _batch_pixels(memory, lanes), model_bytes, net_bytes, pixels_in_flight)


def _batch_pixels(memory: int, lanes: int) -> int:
    return max(1, int(memory * _BATCH_SHARE) // lanes // _BYTES_PER_PIXEL)


def choose_device(choice: str) -> torch.device:
    """Return the device that a setting names.

    Args:
        choice: `cpu`, `cuda`, or `auto` for CUDA if torch finds a CUDA device and for the CPU otherwise.

    Raises:
        ImpastoError: The setting is `cuda`, and torch finds no CUDA device.
    """
    if choice == "cuda" and not torch.cuda.is_available():
        raise ImpastoError("IMPASTO_DEVICE is cuda, and torch finds no CUDA device here: unset it to use the CPU")
    return torch.device("cuda" if choice != "cpu" and torch.cuda.is_available() else "cpu")


def share_cores(processes: int = 1) -> None:
    """Have torch compute on this process's share of the usable cores, or of `OMP_NUM_THREADS` if that is set.

    Args:
        processes: Number of processes that compute at the same time.
    """
    cores = torch.get_num_threads()
    if "OMP_NUM_THREADS" not in os.environ:
        cores = min(cores, usable_cores())
    torch.set_num_threads(max(1, cores // processes))


def memory_of(device: torch.device, cgroups: Path = CGROUPS) -> int:
    """Return the bytes of a device's memory that this process may use.

    Args:
        device: Device; on CUDA its free memory counts, and on the CPU the machine's memory or the container's limit,
            whichever is less.
        cgroups: Folder in which Linux shows the limits of this process's container.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    texts = [(cgroups / limit).read_text().strip() for limit in _LIMITS if (cgroups / limit).is_file()]
    return min([machine, *(int(text) for text in texts if text != "max")])
