"""Admission: how many requests may be in flight, and when a refused one should come back."""

import math
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from service.problems import Busy

_REMEMBERED = 32
_LONGEST_WAIT = 60


class Admission:
    """Counts requests in flight; used on the event loop only.

    Args:
        limit: requests in flight; one more is refused.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._in_flight = 0
        self._finished: deque[float] = deque(maxlen=_REMEMBERED)

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Holds a place.

        Raises:
            Busy: all are taken.
        """
        if self._in_flight >= self._limit:
            raise Busy(
                f"{self._in_flight} requests are in flight, which is all this server takes at once: try again later",
                retry_after=self._seconds_until_free(),
            )
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1
            self._finished.append(time.monotonic())

    def _seconds_until_free(self) -> int:
        """How long what is in flight takes at the rate of the last answers."""
        if len(self._finished) < 2:
            return 1
        rate = (len(self._finished) - 1) / max(time.monotonic() - self._finished[0], 1e-3)
        return min(max(1, math.ceil(self._in_flight / rate)), _LONGEST_WAIT)
