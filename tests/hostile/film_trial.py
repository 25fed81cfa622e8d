"""One trial of a film: it is decoded and encoded again, as the process of a film does it, and its end is judged."""

import asyncio
import os
import time
from pathlib import Path
from typing import BinaryIO, cast

import av.error

from service.contract.problems import BadFilm, Problem
from service.video.colours import Pixels
from service.video.conversion import Conversion
from service.video.encoding import STREAMED
from service.video.recognition import BYTES_LOOKED_AT, film_format
from service.video.source import FilmSource
from service.video.target import FilmTarget

MOST_PIXELS = 100_000
"""Largest number of pixels of a frame."""
MOST_SECONDS = 8.0
"""Largest number of seconds of the processor that a trial may take."""


class Nowhere:
    """A file whose content is thrown away."""

    def write(self, data: bytes) -> int:
        """Throw data away."""
        return len(data)


async def _unchanged(pixels: Pixels) -> Pixels:
    return pixels


def try_film(file: bytes) -> int:
    """Convert a film, and return the status of its answer: 200, or that of the problem.

    Raises:
        AssertionError: The film is not answered as any film should be.
    """
    started = time.process_time()
    status = _status_of(file)
    seconds = time.process_time() - started
    assert seconds < MOST_SECONDS, f"it took {seconds:.1f} s"
    assert status == 200 or 400 <= status < 500, f"it was answered {status}"
    return status


def _status_of(file: bytes) -> int:
    known_as = film_format(file[:BYTES_LOOKED_AT])
    if known_as is None:
        return 415
    descriptor = os.memfd_create("film")
    try:
        os.write(descriptor, file)
        with FilmSource(Path(f"/dev/fd/{descriptor}"), MOST_PIXELS, known_as) as source:
            assert 0 < source.width * source.height <= MOST_PIXELS
            target = FilmTarget(cast("BinaryIO", Nowhere()), source, STREAMED, source.metadata)
            asyncio.run(Conversion(source, target, _unchanged, 2, lambda _: None).run())
            assert all(source.notes)
    except Problem as problem:
        return problem.status
    except av.error.FFmpegError:  # of times, say, that no file can hold: the process calls it a bad film
        return BadFilm.status
    finally:
        os.close(descriptor)
    return 200
