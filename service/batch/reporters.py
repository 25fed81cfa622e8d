"""The output of a batch on the command line, as text for people or as JSON for programs."""

import json
import sys
from collections import Counter
from typing import TextIO

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from service.batch.batch import Outcome, Summary
from service.batch.work_list import PictureJob, WorkList
from service.client.answer import Answer

_TRUNCATED = "the end of the file is missing, but no pixels"
"""Note on a picture whose file was cut short."""


_MOST_LISTED = 50
"""Largest number of pictures that are listed at the end because they were not made."""


class TextReporter:
    """A reporter that prints a line per picture, or a progress bar for several pictures if stderr is a terminal.

    Args:
        work: The work list that is reported on.
        stream: The stream for what was made; problems go to stderr.
    """

    def __init__(self, work: WorkList, stream: TextIO) -> None:
        self._stream = stream
        self._is_single = len(work.jobs) == 1
        self._unreadable = list(work.unreadable)
        console = Console(stderr=True)
        self._bar = Progress(
            BarColumn(),
            TaskProgressColumn(),
            MofNCompleteColumn(),
            _RateColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=self._is_single or not console.is_terminal,
        )
        self._task = self._bar.add_task("")
        if work.left_out:
            listed = ", ".join(f"{count} {suffix or 'without a suffix'}" for suffix, count in _sorted(work.left_out))
            typer.echo(f"left out, because they are not pictures: {listed}", err=True)

    def skipped(self, job: PictureJob) -> None:
        """Report that a file exists already and is not made."""
        if self._is_single:
            typer.echo(f"{job.output} is there already: --overwrite makes it anew", file=self._stream)

    def started(self, waiting: int) -> None:
        """Report that so many files are going to be made."""
        self._bar.start()
        self._bar.update(self._task, total=waiting)

    def finished(self, job: PictureJob, outcome: Outcome) -> None:
        """Report that a file was made, or why it was not."""
        self._bar.advance(self._task)
        if not isinstance(outcome, Answer):
            self._unreadable.append(f"{job.picture}: {outcome}")
            message = f"impasto: {job.picture}: {outcome}"
            if self._bar.disable:
                typer.echo(message, err=True)
            else:
                self._bar.console.print(message, markup=False, highlight=False, soft_wrap=True)
        elif self._bar.disable:
            note = f", {_TRUNCATED}" if outcome.is_truncated else ""
            typer.echo(
                f"{job.output}: {outcome.model}, {sum(outcome.timing.values()) / 1000:.1f} s{note}", file=self._stream
            )
        elif outcome.is_truncated:
            self._bar.console.print(f"{job.picture}: {_TRUNCATED}", markup=False, highlight=False, soft_wrap=True)

    def ended(self, summary: Summary) -> None:
        """Report the summary."""
        self._bar.stop()
        if self._is_single:
            return
        parts = [f"{summary.made} made in {summary.seconds:.1f} s ({summary.made / summary.seconds:.1f} a second)"]
        if summary.skipped:
            parts.append(f"{summary.skipped} were there already (--overwrite makes them anew)")
        if summary.failed:
            parts.append(f"{summary.failed} failed")
        if summary.left:
            parts.append(f"{summary.left} left (the same command goes on with them)")
        if self._unreadable:
            listed = [*self._unreadable[:_MOST_LISTED], *(["..."] if len(self._unreadable) > _MOST_LISTED else [])]
            typer.echo("\n  ".join(["not made:", *listed]), err=True)
        stream = sys.stderr if summary.failed or summary.left else self._stream
        typer.echo(", ".join(parts), file=stream)


class JsonReporter:
    """A reporter that prints one JSON object a line, for each picture and at the end for the summary.

    Args:
        work: The work list that is reported on.
        stream: The stream to print to.
    """

    def __init__(self, work: WorkList, stream: TextIO) -> None:
        self._left_out = dict(_sorted(work.left_out))
        self._unreadable = work.unreadable
        self._stream = stream

    def skipped(self, job: PictureJob) -> None:
        """Report that a file exists already and is not made."""
        self._print(job, status="skipped")

    def started(self, waiting: int) -> None:
        """Report that so many files are going to be made."""

    def finished(self, job: PictureJob, outcome: Outcome) -> None:
        """Report that a file was made, or why it was not."""
        if isinstance(outcome, Answer):
            facts = {"frames": outcome.frames, "truncated": outcome.is_truncated, "timing": outcome.timing}
            self._print(job, status="made", model=outcome.model, **facts)
        else:
            self._print(job, status="failed", kind=type(outcome).__name__, error=str(outcome))

    def ended(self, summary: Summary) -> None:
        """Report the summary."""
        self._write({"summary": summary._asdict() | {"left_out": self._left_out, "unreadable": self._unreadable}})

    def _print(self, job: PictureJob, **fields: object) -> None:
        self._write({"picture": str(job.picture), "output": str(job.output), **fields})

    def _write(self, document: dict[str, object]) -> None:
        print(json.dumps(document), file=self._stream, flush=True)


class _RateColumn(ProgressColumn):
    """A column of the progress bar with the pictures made per second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "", style="progress.data.speed")


def _sorted(counts: Counter[str]) -> list[tuple[str, int]]:
    return counts.most_common()
