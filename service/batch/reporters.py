"""The output of a batch on the command line, as text for people or as JSON for programs."""

import json
import math
import sys
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import TextIO

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from service.batch.batch import MadeFilm, Outcome, Summary
from service.batch.work_list import PictureJob, WorkList
from service.client.answer import Answer

_TRUNCATED = "the end of the file is missing, but no pixels"
"""Note on a picture whose file was cut short."""


_MOST_LISTED = 50
"""Largest number of pictures that are listed at the end because they were not made."""


class TextReporter:
    """A reporter that prints a line per picture, or a progress bar for several pictures if stderr is a terminal.

    There, a large picture or a film has a progress bar of its own, also if it is the only one.

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
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            _CountColumn(),
            _RateColumn(),
            _TimeLeftColumn(),
            console=console,
            get_time=time.monotonic,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", visible=not self._is_single)
        self._large: dict[Path, TaskID] = {}
        """The bars of the large pictures and films that are being made."""
        self._is_over = False
        if work.left_out:
            listed = ", ".join(f"{count} {suffix or 'without a suffix'}" for suffix, count in _sorted(work.left_out))
            typer.echo(f"left out, because they are neither pictures nor films: {listed}", err=True)

    def skipped(self, job: PictureJob) -> None:
        """Report that a file exists already and is not made."""
        if self._is_single:
            typer.echo(f"{job.output} is there already: --overwrite makes it anew", file=self._stream)

    def started(self, waiting: int) -> None:
        """Report that so many files are going to be made."""
        self._bar.update(self._task, total=waiting)
        if not self._is_single:
            self._bar.start()

    def progressed(self, picture: Path, made: float) -> None:
        """Show how far a large picture is, and how long it will take."""
        if self._is_over:  # a picture that was interrupted is not
            return
        if picture not in self._large:
            self._large[picture] = self._bar.add_task(picture.name, total=1.0, is_picture=True, told=0.0)
        self._bar.start()
        self._bar.update(self._large[picture], completed=made, told=time.monotonic())

    def filmed(self, job: PictureJob, frames: int, total: int | None) -> None:
        """Show how many frames of a film are made, how many a second, and how long it will take."""
        if self._is_over:
            return
        if job.picture not in self._large:
            self._large[job.picture] = self._bar.add_task(job.picture.name, total=total, completed=frames - 1)
        self._bar.start()
        self._bar.update(self._large[job.picture], completed=frames)

    def unfinished(self, job: PictureJob, path: Path) -> None:
        """Report where a film that is not finished can be played as far as it goes."""
        if self._is_single:
            self._bar.stop()
        self._say(f"{job.picture}: {path} plays up to where it was left; --resume goes on with it", err=True)

    def finished(self, job: PictureJob, outcome: Outcome) -> None:
        """Report that a file was made, or why it was not."""
        if job.picture in self._large:
            self._bar.remove_task(self._large.pop(job.picture))
        self._bar.advance(self._task)
        if self._is_single:
            self._bar.stop()
        if isinstance(outcome, Exception):
            self._unreadable.append(f"{job.picture}: {outcome}")
            self._say(f"impasto: {job.picture}: {outcome}", err=True)
        elif isinstance(outcome, MadeFilm):
            rate = f" ({outcome.painted / outcome.seconds:.1f} a second)" if outcome.painted == outcome.frames else ""
            self._say(f"{job.output}: {outcome.model}, {outcome.frames} frames in {outcome.seconds:.1f} s{rate}")
            for note in outcome.notes:
                self._say(f"{job.picture}: {note}", err=True)
        elif not self._is_bar_shown:
            note = f", {_TRUNCATED}" if outcome.is_truncated else ""
            self._say(f"{job.output}: {outcome.model}, {sum(outcome.timing.values()) / 1000:.1f} s{note}")
        elif outcome.is_truncated:
            self._say(f"{job.picture}: {_TRUNCATED}")

    @property
    def _is_bar_shown(self) -> bool:
        return not (self._bar.disable or self._is_single)

    def _say(self, message: str, *, err: bool = False) -> None:
        """Print a line, above the progress bar of several pictures if that is shown."""
        if self._is_bar_shown:
            self._bar.console.print(message, markup=False, highlight=False, soft_wrap=True)
        else:
            typer.echo(message, file=sys.stderr if err else self._stream)

    def ended(self, summary: Summary) -> None:
        """Report the summary."""
        self._is_over = True
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

    def progressed(self, picture: Path, made: float) -> None:
        """Report nothing of a picture that is not made."""

    def filmed(self, job: PictureJob, frames: int, total: int | None) -> None:
        """Report nothing of a film that is not made."""

    def unfinished(self, job: PictureJob, path: Path) -> None:
        """Report where a film that is not finished can be played as far as it goes."""
        self._print(job, status="unfinished", file=str(path))

    def finished(self, job: PictureJob, outcome: Outcome) -> None:
        """Report that a file was made, or why it was not."""
        if isinstance(outcome, Answer):
            facts = {"frames": outcome.frames, "truncated": outcome.is_truncated, "timing": outcome.timing}
            self._print(job, status="made", model=outcome.model, **facts)
        elif isinstance(outcome, MadeFilm):
            self._print(job, status="made", **outcome._asdict())
        else:
            self._print(job, status="failed", kind=type(outcome).__name__, error=str(outcome))

    def ended(self, summary: Summary) -> None:
        """Report the summary."""
        self._write({"summary": summary._asdict() | {"left_out": self._left_out, "unreadable": self._unreadable}})

    def _print(self, job: PictureJob, **fields: object) -> None:
        self._write({"picture": str(job.picture), "output": str(job.output), **fields})

    def _write(self, document: dict[str, object]) -> None:
        print(json.dumps(document), file=self._stream, flush=True)


class _CountColumn(MofNCompleteColumn):
    """A column of the progress bar with the number of pictures made; empty for the bar of one picture."""

    def render(self, task: Task) -> Text:
        return Text() if task.fields.get("is_picture") else super().render(task)


class _RateColumn(ProgressColumn):
    """A column of the progress bar with the pictures made per second; empty for the bar of one picture."""

    def render(self, task: Task) -> Text:
        is_known = task.speed and not task.fields.get("is_picture")
        return Text(f"{task.speed:.1f}/s" if is_known else "", style="progress.data.speed")


class _TimeLeftColumn(TimeRemainingColumn):
    """A column of the progress bar with the time left.

    For the bar of one picture it follows from all of the time so far: from one tile to the next, more may pass than
    rich looks back.
    """

    def render(self, task: Task) -> Text:
        if not task.fields.get("is_picture") or not task.completed or task.start_time is None:
            return super().render(task)
        left = (task.fields["told"] - task.start_time) / task.completed - (task.elapsed or 0.0)
        return Text(str(timedelta(seconds=math.ceil(max(0.0, left)))), style="progress.remaining")


def _sorted(counts: Counter[str]) -> list[tuple[str, int]]:
    return counts.most_common()
