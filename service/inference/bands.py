"""Bands of rows of one picture, each computed by a core.

Torch's own threads meet after every operation, hundreds of times for a picture, and wait for the slowest each time.
Bands meet twice a layer.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

_Band = TypeVar("_Band")
_Result = TypeVar("_Result")

_helpers = ThreadPoolExecutor(torch.get_num_threads(), "band", initializer=torch.set_num_threads, initargs=[1])


def split(rows: int, parts: int) -> list[slice]:
    """Splits rows into at most so many slices of nearly one length, none of them empty."""
    bounds = [math.ceil(rows * part / parts) for part in range(parts + 1)]
    return [slice(*each) for each in zip(bounds, bounds[1:], strict=False) if each[0] < each[1]]


def compute(work: Callable[[_Band], _Result], bands: Sequence[_Band]) -> list[_Result]:
    """Does the work on each band, the first of them on this thread, and the others beside it.

    Raises:
        Exception: whatever the work raises.
    """
    first, *others = bands
    futures = [_helpers.submit(torch.inference_mode(work), band) for band in others]
    return [work(first), *(future.result() for future in futures)]
