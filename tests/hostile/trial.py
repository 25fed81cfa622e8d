"""One trial of the codec: a file is inspected and decoded, and its end, its time and its memory are judged."""

import resource
import time
import zlib
from pathlib import Path

import torch

from service import codec
from service.contract.problems import Problem

MOST_PIXELS = 100_000
"""Largest number of pixels of a picture that is decoded."""
MOST_SECONDS = 1.0
"""Largest number of seconds of the processor that a trial may take."""
MOST_BYTES = 128 * 1024**2
"""Largest number of bytes of memory that a trial may need."""
_SIZES = (None, (7, 5), (40, 30))
"""Sizes to which a picture is decoded."""
_PAGE = resource.getpagesize()


def try_file(file: bytes) -> int:
    """Inspect and decode a file, and return the status of its answer: 200, or that of the problem.

    Raises:
        AssertionError: The file is not answered as any file should be.
    """
    before, started = _resident_bytes(), time.thread_time()
    peak_before = _peak_bytes()
    status = _status_of(file)
    seconds = time.thread_time() - started
    assert seconds < MOST_SECONDS, f"it took {seconds:.1f} s"
    peak = _peak_bytes()
    if peak > peak_before:  # otherwise it needed no more than those before it
        assert peak - before < MOST_BYTES, f"it needed {peak - before:,} bytes"
    assert status == 200 or 400 <= status < 500, f"it was answered {status}"
    return status


def _status_of(file: bytes) -> int:
    choice = zlib.crc32(file)  # the same choice every time
    size = _SIZES[choice % len(_SIZES)]
    try:
        header = codec.read_header(file, MOST_PIXELS)
        assert 0 < header.width * header.height <= MOST_PIXELS
        assert header.frames > 0
        picture = codec.decode(header, size, keep_metadata=bool(choice & 64))
    except Problem as problem:
        return problem.status
    height, width, channels = picture.pixels.shape
    assert {width, height} == {*(size or (header.width, header.height))}
    assert channels == 3
    assert picture.pixels.dtype == torch.uint8
    assert picture.alpha is None or picture.alpha.shape == (height, width)
    return 200


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
