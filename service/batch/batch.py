"""The run of a batch: files that exist are left as they are, and what fails does not stop the others."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, Protocol

from model_store.errors import ImpastoError
from service.batch.work_list import PictureJob
from service.client.answer import Answer
from service.client.options import Format


class MadeFilm(NamedTuple):
    """A film that was made, and how."""

    model: str
    """The net's name and version; for a blend, each net with its share."""
    frames: int
    """The number of its frames, those of an earlier run included."""
    painted: int
    """The number of frames that were painted now."""
    seconds: float
    """The seconds that it took."""
    notes: tuple[str, ...]
    """Sentences about what the film lacks, each without a full stop."""


Outcome = Answer | MadeFilm | Exception
Painter = Callable[[Sequence[Path], Format], AsyncGenerator[Outcome, None]]
"""A function that makes pictures in one format, and yields for each, in their order, the answer or its error. It raises
an error that every picture would have."""


OnProgress = Callable[[Path, float], object]
"""A function that is called with a large picture and the share of it that is made, from 0 to 1, on any thread."""


class Summary(NamedTuple):
    """The numbers of jobs by what became of them, and the time that the run took."""

    made: int
    """Files that were made."""
    skipped: int
    """Files that existed already."""
    failed: int
    """Pictures that could not be made or written."""
    left: int
    """Jobs that were not begun, or not ended."""
    seconds: float
    """Seconds from the start of the run to its end."""


class FilmObserver(Protocol):
    """A receiver of the events of a film that is being made."""

    def filmed(self, job: PictureJob, frames: int, total: int | None) -> None:
        """Report the number of frames that are made, and that of all, if it is known."""

    def unfinished(self, job: PictureJob, path: Path) -> None:
        """Report that a film is not finished, and the file in which it can be played as far as it goes."""


FilmPainter = Callable[[PictureJob, FilmObserver], Awaitable[MadeFilm | Exception]]
"""A function that makes a film, writes it, and returns how it was made, or its error. It raises an error that every
film would have."""


class Painters(NamedTuple):
    """The painters that make the files of a run."""

    pictures: Painter
    films: FilmPainter | None
    """None where no films are made."""


class Reporter(FilmObserver, Protocol):
    """A receiver of the events of a run, which prints them."""

    def skipped(self, job: PictureJob) -> None:
        """Report that a file exists already and is not made."""

    def started(self, waiting: int) -> None:
        """Report that so many files are going to be made."""

    def progressed(self, picture: Path, made: float) -> None:
        """Report the share of a large picture that is made, from 0 to 1; this is called on any thread."""

    def finished(self, job: PictureJob, outcome: Outcome) -> None:
        """Report that a file was made, or why it was not."""

    def ended(self, summary: Summary) -> None:
        """Report the summary; nothing more happens after it."""


class BatchRun:
    """One run over a list of jobs, which counts what became of them.

    Args:
        jobs: The pictures and films to make, all with different outputs.
        report: The reporter of what happens.
        overwrite: Whether files that exist already are made again.
    """

    def __init__(self, jobs: Sequence[PictureJob], report: Reporter, *, overwrite: bool = False) -> None:
        self._report = report
        self._started = time.perf_counter()
        self._made = self._failed = 0
        skipped = {} if overwrite else {job: None for job in jobs if job.output.exists()}
        self._skipped = len(skipped)
        self.waiting = [job for job in jobs if job not in skipped]
        """The jobs whose files are to be made."""
        for job in skipped:
            report.skipped(job)

    async def run(self, painters: Painters) -> None:
        """Make the files that are waiting, first the pictures and then one film after the other.

        The run may be cancelled at any time, and then leaves no partial file but that of a film.

        Args:
            painters: What makes them.

        Raises:
            Exception: There was an error that every picture or film would have.
        """
        self._report.started(len(self.waiting))
        pictures = [job for job in self.waiting if not job.is_film]
        for format, group in groupby(sorted(pictures, key=_format), _format):  # noqa: A001
            jobs = list(group)
            async with aclosing(painters.pictures([job.picture for job in jobs], format)) as outcomes:
                turns = iter(jobs)
                async for outcome in outcomes:
                    await self._finish(next(turns), outcome)
        for job in self.waiting:
            if job.is_film:
                await self._finish(job, await self._film(job, painters.films))

    def end(self) -> Summary:
        """Report and return the summary of the run."""
        left = len(self.waiting) - self._made - self._failed
        summary = Summary(self._made, self._skipped, self._failed, left, time.perf_counter() - self._started)
        self._report.ended(summary)
        return summary

    async def _film(self, job: PictureJob, painter: FilmPainter | None) -> MadeFilm | Exception:
        if painter is None:
            return ImpastoError("--server is for pictures: leave it out, and this machine makes the film")
        job.output.parent.mkdir(parents=True, exist_ok=True)
        return await painter(job, self._report)

    async def _finish(self, job: PictureJob, outcome: Outcome) -> None:
        if isinstance(outcome, Answer):
            try:
                await asyncio.to_thread(_write, job.output, outcome.content)
            except OSError as error:
                outcome = error
        if isinstance(outcome, Exception):
            self._failed += 1
        else:
            self._made += 1
        self._report.finished(job, outcome)


def _format(job: PictureJob) -> Format:
    return job.format


def _write(path: Path, content: bytes) -> None:
    """Write a file under a temporary name and rename it, so that a file of this name is always whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        aside.write_bytes(content)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
