"""Memory of uploads: how many bytes of requests are held at once, and which upload gives way when they are too many."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import Message, Receive

from service.contract.observer import Observer
from service.contract.problems import Busy

_RETRY_AFTER_S = 1
"""Seconds after which a client whose upload gave way may try again."""


class _Held:
    """The bytes of one upload."""

    def __init__(self, task: "asyncio.Task[object] | None") -> None:
        self.task = task
        """Task that reads the upload; None once it is read to its end, after which it no longer gives way."""
        self.size = 0
        self.since = time.monotonic()
        self.gave_way = False

    def burden(self, now: float) -> float:
        """Return the bytes times the seconds since the upload began."""
        return self.size * (now - self.since)


class UploadMemory:
    """The bytes of all uploads that are being read or worked on; used on the event loop only.

    An upload holds no place among the requests in flight while it is read, so that a client that sends slowly keeps
    nobody else out. What it holds is memory, which is counted here. Where there are too many bytes, the upload that has
    the most of them for the longest gives way, so that large slow uploads keep no small or quick one out either.

    Args:
        most: Largest number of bytes. One upload alone is taken however large it is.
        observer: Receiver of events, which is told of each upload that gives way.
    """

    def __init__(self, most: int, observer: Observer | None = None) -> None:
        self._most = most
        self._observer = observer or Observer()
        self._held: set[_Held] = set()
        self.size = 0
        """Bytes that are held."""

    @contextmanager
    def hold(self, receive: Receive) -> Iterator[Receive]:
        """Hold the bytes of one upload until the block of the `with` statement ends.

        The block reads the upload by the `receive` that it is given.

        Raises:
            Busy: There was no more room for this upload.
        """
        held = _Held(asyncio.current_task())
        self._held.add(held)

        async def receive_counted() -> Message:
            message = await receive()
            self._take(held, len(message.get("body", b"")))
            if not message.get("more_body", False):
                held.task = None
            return message

        try:
            yield receive_counted
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if held.gave_way and task is not None and not task.uncancel():
                raise self._busy() from None
            raise
        finally:
            self._held.discard(held)
            self.size -= held.size

    def _take(self, held: _Held, size: int) -> None:
        held.size += size
        self.size += size
        while self._most < self.size != held.size:
            now = time.monotonic()
            heaviest = max((each for each in self._held if each.task is not None), key=lambda each: each.burden(now))
            self._observer.request_shed("uploads")
            if heaviest is held:
                raise self._busy()
            self._give_way(heaviest)

    def _give_way(self, held: _Held) -> None:
        assert held.task is not None  # noqa: S101
        held.gave_way = True
        held.task.cancel()
        self._held.discard(held)
        self.size -= held.size
        held.size = 0

    def _busy(self) -> Busy:
        return Busy(
            f"uploads have more than the {self._most:,} bytes that this server holds at once, and this one has "
            f"had the most for the longest: try again in {_RETRY_AFTER_S} s",
            _RETRY_AFTER_S,
        )
