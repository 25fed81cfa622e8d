"""The run of a batch: files that exist are left as they are, and a picture that fails does not stop the others."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, Protocol

from service.batch.work_list import PictureJob
from service.client.answer import Answer
from service.client.options import Format

Outcome = Answer | Exception
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


class Reporter(Protocol):
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
        jobs: The pictures to make, all with different outputs.
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

    async def run(self, painter: Painter) -> None:
        """Make the files that are waiting. The run may be cancelled at any time, and then leaves no partial file.

        Args:
            painter: The painter that makes the pictures.

        Raises:
            Exception: The painter met an error that every picture would have.
        """
        self._report.started(len(self.waiting))
        for format, group in groupby(sorted(self.waiting, key=_format), _format):  # noqa: A001
            jobs = list(group)
            async with aclosing(painter([job.picture for job in jobs], format)) as outcomes:
                turns = iter(jobs)
                async for outcome in outcomes:
                    await self._finish(next(turns), outcome)

    def end(self) -> Summary:
        """Report and return the summary of the run."""
        left = len(self.waiting) - self._made - self._failed
        summary = Summary(self._made, self._skipped, self._failed, left, time.perf_counter() - self._started)
        self._report.ended(summary)
        return summary

    async def _finish(self, job: PictureJob, outcome: Outcome) -> None:
        if isinstance(outcome, Answer):
            try:
                await asyncio.to_thread(_write, job.output, outcome.content)
            except OSError as error:
                outcome = error
        if isinstance(outcome, Answer):
            self._made += 1
        else:
            self._failed += 1
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
