"""The device that nets run on: which it is, and how much it can do at once."""

import os
from pathlib import Path
from typing import NamedTuple

import torch

from model_store.errors import ImpastoError
from service.device.cores import CGROUPS, usable_cores

_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")
"""Of this process's container, in version 2 and in version 1."""
_MODEL_SHARE, _BATCH_SHARE = 1 / 8, 1 / 4
"""Of the device's memory; the rest is for whatever else is there."""
_BYTES_PER_PIXEL = 1000
"""That a net needs at once for a pixel that it makes."""
_MOST_CPU_LANES = 8
"""More would wait for memory rather than for cores."""
_PROCESS_BYTES = 700_000_000
"""Of a process that computed on a CPU before and has nothing to do."""
_NET_SHARE = 5 / 6
"""Of what a CPU has beside the process and the models; the rest is for pictures that wait, are read or written."""
_BYTES_IN_FLIGHT = 24
"""For a pixel of an upload or an answer: 3 while it waits, up to 70 while it is read or written, which few are."""
_MOST_PIXELS_IN_FLIGHT = 100_000_000


class Capacity(NamedTuple):
    """What a device does best at once."""

    lanes: int
    """Batches."""
    batch: int
    """Pictures in a batch; a CPU gains nothing by more than one."""
    batch_pixels: int
    """Output pixels in a batch of several."""
    model_bytes: int
    """Of the weights that are kept."""
    net_bytes: int | None
    """That nets compute in, on all lanes; None on CUDA, which survives it when memory runs out."""
    pixels_in_flight: int
    """Of uploads and answers."""


def capacity_of(device: torch.device, processes: int = 1, cgroups: Path = CGROUPS) -> Capacity:
    """What the settings leave open.

    Args:
        device: of this process and the others.
        processes: that compute beside each other.
        cgroups: where Linux tells the limit.
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
    """The device of a setting; `auto` is CUDA where there is one.

    Raises:
        ImpastoError: CUDA was asked for and is not there.
    """
    if choice == "cuda" and not torch.cuda.is_available():
        raise ImpastoError("IMPASTO_DEVICE is cuda, and torch finds no CUDA device here: unset it to use the CPU")
    return torch.device("cuda" if choice != "cpu" and torch.cuda.is_available() else "cpu")


def share_cores(processes: int = 1) -> None:
    """Has torch compute on this process's part of the usable cores; an explicit OMP_NUM_THREADS stands for them.

    Args:
        processes: that compute beside each other.
    """
    cores = torch.get_num_threads()
    if "OMP_NUM_THREADS" not in os.environ:
        cores = min(cores, usable_cores())
    torch.set_num_threads(max(1, cores // processes))


def memory_of(device: torch.device, cgroups: Path = CGROUPS) -> int:
    """Bytes that this process may use.

    Args:
        device: of CUDA, what is free now counts; of the CPU, what the machine has, or the container's limit.
        cgroups: where Linux tells the limit.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    texts = [(cgroups / limit).read_text().strip() for limit in _LIMITS if (cgroups / limit).is_file()]
    return min([machine, *(int(text) for text in texts if text != "max")])
