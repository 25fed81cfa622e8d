"""The share of a lane's time that a large picture leaves to other pictures, which are let in between its pieces."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

_SECONDS_FOR_OTHERS = 0.5
"""Seconds of other pictures for each second of the large one, which so loses at most a third of its speed."""
_MOST_SAVED_S = 1.0
"""Largest number of seconds that are saved for others while none wait."""


class Share:
    """The seconds of one large picture, and those that are given to others while it is being computed."""

    def __init__(self) -> None:
        self.given = 0.0
        """Seconds that others were given so far."""
        self._saved = 0.0
        self._resumed = time.perf_counter()

    def is_others_turn(self) -> bool:
        """Tell whether others may be let in now."""
        now = time.perf_counter()
        self._saved = min(_MOST_SAVED_S, self._saved + (now - self._resumed) * _SECONDS_FOR_OTHERS)
        self._resumed = now
        return self._saved > 0

    @contextmanager
    def to_others(self) -> Iterator[None]:
        """Count the time inside the block as given to others."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._resumed = time.perf_counter()
            self.given += self._resumed - started
            self._saved -= self._resumed - started
