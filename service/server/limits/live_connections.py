"""Live connections: how many are open, and which is closed because nothing comes on it."""

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager

from service.contract.observer import Observer
from service.contract.problems import Busy

_LEAST_SILENCE_S = 0.5
"""Seconds without a message after which a connection whose frames were painted gives way to a new one."""
_RETRY_AFTER_S = 1
"""Seconds after which a client that is refused may try again."""


class Silence:
    """The time since the client's last message, which cancels the task of its connection when it lasts too long.

    Args:
        most_s: Largest number of seconds.
        timeout: Timeout that cancels the task.
    """

    def __init__(self, most_s: float, timeout: asyncio.Timeout) -> None:
        self._most_s = most_s
        self._timeout = timeout
        self._since = 0.0
        self._is_suspended = False
        self._is_used = self._is_broken_off = False
        self.end()

    def end(self) -> None:
        """Begin anew, because the client sent something."""
        self._since = asyncio.get_running_loop().time()
        self._schedule()

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Count no time while the client waits for a frame."""
        self._is_suspended = self._is_used = True
        self._schedule()
        try:
            yield
        finally:
            self._is_suspended = False
            self.end()

    def _schedule(self) -> None:
        if not self._timeout.expired() and not self._is_broken_off:
            self._timeout.reschedule(None if self._is_suspended else self._since + self._most_s)

    @property
    def seconds(self) -> float:
        """Seconds since the last message; 0 while the client waits for the server."""
        return 0.0 if self._is_suspended else asyncio.get_running_loop().time() - self._since

    @property
    def may_give_way(self) -> bool:
        """Whether the connection is not in use: no frame came on it yet, or nothing for a while."""
        return not self._is_used or self.seconds >= _LEAST_SILENCE_S

    def break_off(self) -> None:
        """Cancel the task now."""
        if not self._timeout.expired():
            self._timeout.reschedule(-math.inf)
            self._is_broken_off = True


class LiveConnections:
    """The live connections that are open, used on the event loop only.

    Where there are too many, of those that are not in use, the one that has been silent for longest gives way to a new
    one, so that connections on which nothing comes keep nobody out.

    Args:
        most: Largest number of connections.
        observer: Receiver of events, which is told of each refusal.
    """

    def __init__(self, most: int, observer: Observer | None = None) -> None:
        self._most = most
        self._observer = observer or Observer()
        self._open: set[Silence] = set()

    @contextmanager
    def connect(self, silence: Silence) -> Iterator[None]:
        """Count a connection while it is open.

        Args:
            silence: The time since the client's last message.

        Raises:
            Busy: There are too many connections, and all of them are in use.
        """
        if len(self._open) >= self._most:
            unused = [each for each in self._open if each.may_give_way]
            if not unused:
                self._observer.request_shed("connections")
                raise Busy(
                    f"{len(self._open)} live connections are open, which is all this server takes at once: try again "
                    f"in {_RETRY_AFTER_S} s",
                    _RETRY_AFTER_S,
                )
            longest = max(unused, key=lambda each: each.seconds)
            longest.break_off()
            self._open.discard(longest)
        self._open.add(silence)
        try:
            yield
        finally:
            self._open.discard(silence)
