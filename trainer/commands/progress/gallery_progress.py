"""The progress of several styles while they train: a table on a terminal, else a line for each style every minute."""

import time
from collections.abc import Iterable
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from trainer.galleries.workshop import Advanced, Event, Failed, Measuring, Published
from trainer.training.loop import TrainingProgress

_SECONDS_BETWEEN_LINES = 60.0
_SHOWN = ("content", "style")


class GalleryProgress:
    """A display of the styles of a gallery while they are trained.

    Args:
        styles: Names of all styles, in the order of the table.
    """

    def __init__(self, styles: Iterable[str]) -> None:
        self._console = Console(stderr=True)
        self._states = dict.fromkeys(styles, "waits")
        self._progress: dict[str, TrainingProgress] = {}
        self.failures: dict[str, str] = {}
        """Reasons why styles failed, keyed by the name of the style."""
        self._lines: dict[str, float] = {}
        self._live = Live(console=self._console, get_renderable=self._table, refresh_per_second=1, transient=False)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def show(self, event: Event) -> None:
        """Show an event: in the table on a terminal, else by a line, which for training is printed once a minute."""
        match event:
            case Advanced(style, progress):
                self._states[style] = _left(progress)
                self._progress[style] = progress
                now = time.monotonic()
                if now - self._lines.get(style, -_SECONDS_BETWEEN_LINES) >= _SECONDS_BETWEEN_LINES:
                    self._lines[style] = now
                    self._say(f"{style}: step {progress.step}/{progress.steps}  {_losses(progress)}  {_left(progress)}")
            case Measuring(style):
                self._states[style] = "is measured"
            case Published(style, label):
                self._states[style] = f"{label}{_compared(event)}"
                self._say(f"{style}: published {label}{_compared(event)}")
            case Failed(style, reason):
                self._states[style] = "failed"
                self.failures[style] = reason
                self._say(f"{style}: failed: {reason}")

    def _say(self, line: str) -> None:
        if not self._console.is_terminal:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _table(self) -> Table:
        table = Table("style", "step", *_SHOWN, "", box=None, header_style="bold")
        for style, state in self._states.items():
            progress = self._progress.get(style)
            losses = [f"{progress.losses[name]:.3f}" if progress else "" for name in _SHOWN]
            table.add_row(style, f"{progress.step}/{progress.steps}" if progress else "", *losses, state)
        return table


def _losses(progress: TrainingProgress) -> str:
    return " ".join(f"{name} {value:.3g}" for name, value in progress.losses.items())


def _left(progress: TrainingProgress) -> str:
    seconds = progress.seconds / progress.step * (progress.steps - progress.step)
    return f"about {seconds / 60:.0f} min left" if seconds >= 60 else f"about {seconds:.0f} s left"


def _compared(event: Published) -> str:
    measured = event.measured
    if measured is None:
        return ""
    style, content = f"{measured.net.style:.3f}", f"{measured.net.content:.3f}"
    if measured.old is not None:
        style = f"{measured.old.style:.3f} -> {style}"
        content = f"{measured.old.content:.3f} -> {content}"
    return f"; style error {style} (of the photos {measured.photos.style:.3f}), content error {content}"
