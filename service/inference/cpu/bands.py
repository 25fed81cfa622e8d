"""Bands of rows of one picture, which several cores compute.

Torch's own threads meet after every operation, hundreds of times for a picture, and wait for the slowest each time.
Bands meet twice a layer.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

_Band = TypeVar("_Band")
_Result = TypeVar("_Result")

_helpers = ThreadPoolExecutor(torch.get_num_threads(), "band", initializer=torch.set_num_threads, initargs=(1,))


def split(rows: int, parts: int) -> list[slice]:
    """Splits rows into at most so many slices of nearly one length, none of them empty."""
    bounds = [math.ceil(rows * part / parts) for part in range(parts + 1)]
    return [slice(*each) for each in itertools.pairwise(bounds) if each[0] < each[1]]


def compute(work: Callable[[_Band], _Result], bands: Sequence[_Band], cores: int) -> list[_Result]:
    """Does the work on each band, a share of them on this thread, and the other shares beside it.

    Args:
        work: on one band.
        bands: of about the same size.
        cores: the shares.

    Raises:
        Exception: whatever the work raises.
    """

    def infer(share: slice) -> list[_Result]:
        with torch.inference_mode():  # which each thread has to be told
            return [work(band) for band in bands[share]]

    first, *others = split(len(bands), cores)
    futures = [_helpers.submit(infer, share) for share in others]
    return [*infer(first), *(result for future in futures for result in future.result())]
