"""Admission: how many requests may be in flight, and when a refused one should come back."""

import math
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from service.observer import Observer
from service.problems import Busy

_REMEMBERED = 32
_LONGEST_WAIT = 60


class Admission:
    """Counts requests in flight; used on the event loop only.

    Args:
        limit: requests in flight; one more is refused.
        observer: is told of each refusal.
    """

    def __init__(self, limit: int, observer: Observer | None = None) -> None:
        self._limit = limit
        self._observer = observer or Observer()
        self._in_flight = 0
        self._marks: deque[float] = deque(maxlen=_REMEMBERED)
        """When we last became busy, and when requests finished since."""

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Holds a place.

        Raises:
            Busy: all are taken.
        """
        if self._in_flight >= self._limit:
            self._observer.request_shed("requests")
            raise Busy(
                f"{self._in_flight} requests are in flight, which is all this server takes at once: try again later",
                retry_after=self._seconds_until_free(),
            )
        if not self._in_flight:
            self._marks.clear()
            self._marks.append(time.monotonic())
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1
            self._marks.append(time.monotonic())

    def _seconds_until_free(self) -> int:
        """How long what is in flight takes at the rate of the last answers."""
        finished = len(self._marks) - 1
        if not finished:
            return 1
        seconds_each = (time.monotonic() - self._marks[0]) / finished
        return min(max(1, math.ceil(self._in_flight * seconds_each)), _LONGEST_WAIT)
