"""The steadiness of a server under load: whether its memory and its threads grow, and a plot of its memory."""

from collections.abc import Sequence
from itertools import pairwise
from statistics import mean, median
from typing import NamedTuple

_STEPS = "▁▂▃▄▅▆▇█"


class Sample(NamedTuple):
    """One look at a server."""

    resident_mib: float
    threads: int


def growth_percent(samples: Sequence[Sample]) -> float:
    """Return the growth of memory from the second quarter of the samples to the last, by medians, in percent."""
    memory = [each.resident_mib for each in samples]
    quarter = max(1, len(memory) // 4)
    return 100 * (median(memory[-quarter:]) / median(memory[quarter : 2 * quarter] or memory) - 1)


def more_threads(samples: Sequence[Sample]) -> int:
    """Return by how many threads the second half of the samples exceeds the first.

    Pools start their threads when they are first needed, and so reach their bounds early; only what is bound by nothing
    goes on growing.
    """
    threads = [each.threads for each in samples]
    half = max(1, len(threads) // 2)
    return max(0, max(threads[half:], default=0) - max(threads[:half]))


def plot(memory: Sequence[float], columns: int = 60) -> str:
    """Return a line with a bar for each part of the time, as high as the memory on average then, above the lowest."""
    columns = min(columns, len(memory))
    edges = [len(memory) * column // columns for column in range(columns + 1)]
    heights = [mean(memory[start:stop]) for start, stop in pairwise(edges)]
    low, span = min(memory), (max(memory) - min(memory)) or 1
    bars = "".join(_STEPS[round((len(_STEPS) - 1) * (height - low) / span)] for height in heights)
    return f"{low:,.0f} MiB {bars} {max(memory):,.0f} MiB"
