"""Bands of rows of one picture, which several cores compute.

Torch's own threads meet after every operation, hundreds of times for a picture, and wait for the slowest each time.
The threads that compute bands meet only twice for each layer.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

_Band = TypeVar("_Band")
_Result = TypeVar("_Result")

_helpers = ThreadPoolExecutor(torch.get_num_threads(), "band", initializer=torch.set_num_threads, initargs=(1,))


def split(rows: int, parts: int) -> list[slice]:
    """Split rows into at most `parts` slices of nearly the same length, none of them empty."""
    bounds = [math.ceil(rows * part / parts) for part in range(parts + 1)]
    return [slice(*each) for each in itertools.pairwise(bounds) if each[0] < each[1]]


def rows_of(tiles: Sequence[slice], size: int, height: int) -> list[slice]:
    """Return the rows of a picture that bands of whole tiles have.

    Args:
        tiles: Bands as slices of the tiles.
        size: Number of rows of a tile.
        height: Number of rows of the picture, at which the last tile may be cut.
    """
    return [slice(size * each.start, min(size * each.stop, height)) for each in tiles]


@contextmanager
def threads_of_one_core() -> Iterator[int]:
    """Have torch compute on one core for each thread, and yield the number of cores that it may use, for `compute`."""
    cores = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield cores
    finally:
        torch.set_num_threads(cores)


def compute(work: Callable[[_Band], _Result], bands: Sequence[_Band], cores: int) -> list[_Result]:
    """Do the work on every band, on this thread and on others at the same time.

    Args:
        work: Function that does the work on one band.
        bands: Bands of about the same size.
        cores: Number of threads among which the bands are shared.

    Returns:
        The results in the order of the bands.

    Raises:
        Exception: The work on a band failed; the error is the one that it raised.
    """

    def infer(share: slice) -> list[_Result]:
        with torch.inference_mode():  # it holds for one thread only
            return [work(band) for band in bands[share]]

    first, *others = split(len(bands), cores)
    futures = [_helpers.submit(infer, share) for share in others]
    return [*infer(first), *(result for future in futures for result in future.result())]
