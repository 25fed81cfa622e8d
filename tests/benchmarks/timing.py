"""The timing of work on a device."""

import statistics
import time
from collections.abc import Callable, Sequence

import torch


def interleaved(works: Sequence[Callable[[], object]], rounds: int, warm_up: int, device: torch.device) -> list[float]:
    """Do several works in turn and return the median milliseconds of each; the first `warm_up` rounds do not count."""
    seconds: list[list[float]] = [[] for _ in works]
    for number in range(warm_up + rounds):
        for times, work in zip(seconds, works, strict=True):
            synchronise(device)
            started = time.perf_counter()
            work()
            synchronise(device)
            if number >= warm_up:
                times.append(time.perf_counter() - started)
    return [1000 * statistics.median(times) for times in seconds]


def synchronise(device: torch.device) -> None:
    """Wait until the device has done all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
