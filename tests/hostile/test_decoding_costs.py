"""No file costs much more time and memory to open and decode than an ordinary one with as many pixels and bytes.

`python -m tests.hostile.test_decoding_costs` prints the costs as a table.
"""

import ctypes
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from service import codec
from service.contract.problems import Problem

from .costly_pictures import COSTLY, HEIGHT, WIDTH, ordinary
from .small_pictures import small_pictures

pytestmark = pytest.mark.process  # nothing else should run in the process whose memory is measured

ENOUGH = 40_000_000
"""Number of pixels that is taken."""
TIMES_A_MEGAPIXEL = 10
"""Largest cost of a megapixel, in times that of an ordinary picture."""
TIMES_A_MEGABYTE = 30
"""Largest cost of a megabyte of the file, in times that of a megapixel of an ordinary picture."""
BYTES_A_PIXEL = 96
"""Largest number of bytes of memory that a pixel may need, beside three times those of the file."""
LEAST_SECONDS, LEAST_BYTES = 0.3, 16 * 1024**2
"""What any file may cost."""

_LIBC = ctypes.CDLL(None)


class Cost(NamedTuple):
    """The cost of opening and decoding one file."""

    pixels: int
    """Number of pixels; 0 if the file was refused."""
    megabytes: float
    seconds: float
    header_seconds: float
    """Seconds until the header was read, or the file refused."""
    bytes: int
    """Bytes of memory at the highest."""


def cost_of(file: bytes) -> Cost:
    """Return the least cost of two tries."""
    return min((_try(file) for _ in range(2)), key=lambda cost: cost.seconds)


def _try(file: bytes) -> Cost:
    _LIBC.malloc_trim(0)  # memory that is free is given back, or it would be used unnoticed
    Path("/proc/self/clear_refs").write_text("5")  # the highest memory so far is forgotten
    before, started, pixels = _kilobytes("VmRSS"), time.process_time(), 0
    opened = started
    try:
        header = codec.read_header(file, ENOUGH)
        opened = time.process_time()
        codec.decode(header)
        pixels = header.width * header.height
    except Problem:
        opened = time.process_time() if opened == started else opened
    seconds = time.process_time() - started
    return Cost(pixels, len(file) / 1e6, seconds, opened - started, (_kilobytes("VmHWM") - before) * 1024)


def _kilobytes(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


@pytest.fixture(scope="module")
def unit() -> float:
    """Return the seconds that a megapixel of an ordinary picture takes."""
    for each in small_pictures().values():  # what is done once is done
        codec.decode(codec.read_header(each, ENOUGH))
    return cost_of(ordinary()).seconds / (WIDTH * HEIGHT / 1e6)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux to measure memory")
@pytest.mark.parametrize("make", COSTLY.values(), ids=list(COSTLY))
def test_the_worst_file_of_a_format_costs_a_small_multiple_of_an_ordinary_one(
    unit: float, make: Callable[[], bytes]
) -> None:
    cost = cost_of(make())
    megapixels = cost.pixels / 1e6
    allowed = (TIMES_A_MEGAPIXEL * megapixels + TIMES_A_MEGABYTE * cost.megabytes) * unit
    assert cost.seconds < LEAST_SECONDS + allowed
    assert cost.bytes < LEAST_BYTES + BYTES_A_PIXEL * cost.pixels + 3e6 * cost.megabytes


def main() -> None:
    """Print the costs of all files as a table of Markdown."""
    print("| file | MB | header, ms | decoded, ms/MP | bytes/pixel |\n| --- | --- | --- | --- | --- |")
    for name, make in {"an ordinary JPEG": ordinary, **COSTLY}.items():
        cost = cost_of(make())
        shares = (
            f"{cost.seconds * 1e9 / cost.pixels:.0f} | {cost.bytes / cost.pixels:.0f}" if cost.pixels else "refused |"
        )
        print(f"| {name} | {cost.megabytes:.1f} | {cost.header_seconds * 1000:.1f} | {shares} |")


if __name__ == "__main__":
    main()
