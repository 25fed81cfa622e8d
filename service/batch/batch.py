"""Makes the pictures of a work list: what is there already is left as it is, and what fails stops no other."""

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
"""Makes pictures of one format, and gives for each, in their order, the answer or what went wrong. Raises what would go
wrong with all of them."""


class Summary(NamedTuple):
    """What became of the jobs."""

    made: int
    skipped: int
    """Were there already."""
    failed: int
    left: int
    """Were not begun, or not ended."""
    seconds: float


class Reporter(Protocol):
    """Is told what happens."""

    def skipped(self, job: PictureJob) -> None:
        """The file is there already."""

    def started(self, waiting: int) -> None:
        """So many files are to be made."""

    def finished(self, job: PictureJob, outcome: Outcome) -> None:
        """The file was made, or was not."""

    def ended(self, summary: Summary) -> None:
        """Nothing more happens."""


class BatchRun:
    """Jobs and what became of them.

    Args:
        jobs: with outputs that differ.
        report: is told what happens.
        overwrite: whether to make what is there already anew.
    """

    def __init__(self, jobs: Sequence[PictureJob], report: Reporter, *, overwrite: bool = False) -> None:
        self._report = report
        self._started = time.perf_counter()
        self._made = self._failed = 0
        skipped = [] if overwrite else [job for job in jobs if job.output.exists()]
        self._skipped = len(skipped)
        self.waiting = list(jobs) if overwrite else [job for job in jobs if job not in set(skipped)]
        """Those to be made."""
        for job in skipped:
            report.skipped(job)

    async def run(self, painter: Painter) -> None:
        """Makes what is waiting; may be cancelled at any time, and then leaves no half file.

        Raises:
            Exception: what went wrong with all pictures.
        """
        self._report.started(len(self.waiting))
        for format, group in groupby(sorted(self.waiting, key=_format), _format):  # noqa: A001
            jobs = list(group)
            async with aclosing(painter([job.picture for job in jobs], format)) as outcomes:
                turns = iter(jobs)
                async for outcome in outcomes:
                    await self._finish(next(turns), outcome)

    def end(self) -> Summary:
        """Reports and tells what became of the jobs."""
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
    """Writes aside and renames, so that what is there is always whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        aside.write_bytes(content)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
