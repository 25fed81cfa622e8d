"""Admission: how much may be in flight, and when a client that is refused should try again.

Three things are limited: the requests in flight, each of which holds a place from when its upload is there; those of
one API key; and the pixels of pictures, which are counted from when the header was read, before anything is decoded.
All are released with the answer. Where no place is free, a request is refused before its upload is read. Places belong
to requests, and pixels to the work on a picture, because several requests may wait for the same picture.
"""

import math
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from service.contract.observer import Observer
from service.contract.problems import Busy
from service.server.limits.api_keys import Key

_REMEMBERED = 32
"""Number of the last answers from which the pace is computed."""
_LONGEST_WAIT = 60
"""Largest number of seconds that a client is told to wait."""


class _Finished(NamedTuple):
    """One picture whose work is finished."""

    seconds: float
    """Seconds since the picture before it, or since work began again after a pause."""
    pixels: int
    """Pixels of the upload and of what was made of it."""


class Admission:
    """The counts of what is in flight, which refuse what is too much; used on the event loop only.

    Args:
        most_requests: Largest number of requests in flight.
        most_pixels: Largest number of pixels in flight, of uploads and answers together. One picture alone is admitted
            however large it is.
        observer: Receiver of events, which is told of each refusal.
    """

    def __init__(self, most_requests: int, most_pixels: int, observer: Observer | None = None) -> None:
        self._most_requests = most_requests
        self._most_pixels = most_pixels
        self._observer = observer or Observer()
        self._requests = 0
        self._by_key: Counter[str] = Counter()
        self._pixels = 0
        self._since = 0.0
        """Time at which the last picture was finished, or at which work began again after a pause."""
        self._finished: deque[_Finished] = deque(maxlen=_REMEMBERED)

    @contextmanager
    def admit(self, key: Key | None = None) -> Iterator[None]:
        """Hold a place for a request.

        Args:
            key: API key of the request, if any.

        Raises:
            Busy: All places are taken, or all that the key may have.
        """
        self.check_place(key)
        name = "" if key is None else key.name
        self._requests += 1
        self._by_key[name] += 1
        try:
            yield
        finally:
            self._requests -= 1
            self._by_key[name] -= 1

    def check_place(self, key: Key | None = None) -> None:
        """Check that there is a place for a request, without holding it.

        Args:
            key: API key of the request, if any.

        Raises:
            Busy: All places are taken, or all that the key may have.
        """
        if self._requests >= self._most_requests:
            self._observer.request_shed("requests")
            raise self._busy(f"{self._requests} requests are in flight, which is all this server takes at once")
        if key is not None and key.concurrency is not None and self._by_key[key.name] >= key.concurrency:
            self._observer.request_shed("key")
            raise self._busy(
                f"{key.concurrency} requests of the key {key.name!r} are in flight, which is all it may have"
            )

    @contextmanager
    def hold_pixels(self, pixels: int) -> Iterator[None]:
        """Hold the pixels of one picture while it is worked on.

        Args:
            pixels: Pixels of the upload and of what is made of it.

        Raises:
            Busy: With these, too many pixels would be in flight.
        """
        self._take(pixels)
        try:
            yield
            self._remember(pixels)
        finally:
            self._pixels -= pixels

    def _take(self, pixels: int) -> None:
        if self._pixels and self._pixels + pixels > self._most_pixels:
            self._observer.request_shed("pixels")
            raise self._busy(
                f"{self._pixels:,} pixels are in flight, and {pixels:,} more of this picture and its answer would be "
                f"above the {self._most_pixels:,} that this server takes at once"
            )
        if not self._pixels:
            self._since = time.monotonic()
        self._pixels += pixels

    def _remember(self, pixels: int) -> None:
        now = time.monotonic()
        self._finished.append(_Finished(now - self._since, pixels))
        self._since = now

    def _busy(self, reason: str) -> Busy:
        seconds = min(max(1, math.ceil(self._seconds_of_work())), _LONGEST_WAIT)
        return Busy(f"{reason}: try again in {seconds} s", retry_after=seconds)

    def _seconds_of_work(self) -> float:
        """Return the seconds that the pixels in flight take at the pace of the last answers."""
        finished = sum(each.pixels for each in self._finished)
        return self._pixels * sum(each.seconds for each in self._finished) / finished if finished else 0.0
