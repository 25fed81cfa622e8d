"""How long work takes on a device."""

import statistics
import time
from collections.abc import Callable, Sequence

import torch


def interleaved(works: Sequence[Callable[[], object]], rounds: int, warm_up: int, device: torch.device) -> list[float]:
    """The median milliseconds of each, done in turn; those of the first `warm_up` rounds do not count."""
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
    """Waits for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
