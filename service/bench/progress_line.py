"""The line on a terminal that shows the progress of a measurement."""

from collections import deque
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live

from service.bench.tally import LoadProgress

_RECENT_S = 3.0
"""Seconds over which the rate is measured."""


class ProgressLine:
    """A line on stderr, if that is a terminal, which each call with a progress overwrites."""

    def __init__(self) -> None:
        self._live = Live(console=Console(stderr=True), transient=True)
        self._recent: deque[LoadProgress] = deque()

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()

    def __call__(self, progress: LoadProgress) -> None:
        """Show the progress."""
        self._live.update(self.describe(progress))

    def describe(self, progress: LoadProgress) -> str:
        """Return the text of the line, with the rate over the last seconds."""
        if self._recent and self._recent[0].is_warm_up != progress.is_warm_up:
            self._recent.clear()
        while self._recent and progress.elapsed - self._recent[0].elapsed > _RECENT_S:
            self._recent.popleft()
        self._recent.append(progress)
        oldest = self._recent[0]
        rate = (progress.good - oldest.good) / (progress.elapsed - oldest.elapsed or 1)
        phase = "warming up" if progress.is_warm_up else "measuring"
        failed = f"  {progress.failed} failed" if progress.failed else ""
        return (
            f"{phase} {progress.elapsed:.0f} s  {progress.good} done  {rate:.1f} pictures/s  "
            f"{progress.in_flight} in flight  {progress.shed} shed{failed}"
        )
