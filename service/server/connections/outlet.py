"""The outlet of a connection: a client has to take what is written, and is listened to before the end."""

import asyncio
from collections.abc import Callable
from typing import Any

_LEAST_BYTES_PER_S = 8 * 1024
"""Smallest number of bytes a second that a client takes of an answer larger than the buffers of the kernel."""


class Outlet:
    """A transport that is aborted where its client stops reading, and whose close may be put off.

    Of what waits in this process, the client has to take 8 KiB for each second of a period, and again in the next one.
    The buffers of the kernel, a few megabytes, are not watched. The watch goes on after `close`, which otherwise would
    wait for ever for the rest to be sent.

    Args:
        transport: Transport of the connection, which has all other methods.
        period_s: Seconds of a period.
        linger: Function that is called by `close`, and returns whether to stay open for a client that is still sending;
            a second `close` closes in any case.
    """

    def __init__(self, transport: asyncio.Transport, period_s: float, linger: Callable[[], bool]) -> None:
        self._transport = transport
        self._period_s = period_s
        self._linger = linger
        self._loop = asyncio.get_running_loop()
        self._watch: asyncio.TimerHandle | None = None
        self._waits_since = 0.0
        self._written = self._left_before = 0
        self.is_lingering = False
        """Whether the outlet was closed, and stays open for a client that is still sending."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    @property
    def waiting(self) -> int:
        """Bytes that wait in this process for the client to take them."""
        return self._transport.get_write_buffer_size()

    @property
    def burden(self) -> float:
        """Bytes that wait, times the seconds for which they have been waiting."""
        return self.waiting * (self._loop.time() - self._waits_since)

    def write(self, data: bytes) -> None:
        """Send data, or keep it until the client takes more."""
        was_empty = not self.waiting
        if was_empty:
            self._waits_since = self._loop.time()
        self._written += len(data)
        self._transport.write(data)
        if was_empty and self.waiting:
            self._begin_period()

    def close(self) -> None:
        """Close once everything is sent, or later if `linger` says so."""
        if self.is_lingering or not self._linger():
            self._transport.close()
            return
        self.is_lingering = True
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def is_closing(self) -> bool:
        """Return whether nothing more is to be written."""
        return self.is_lingering or self._transport.is_closing()

    def _begin_period(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._left_before = self._written - self.waiting
        self._watch = self._loop.call_later(self._period_s, self._end_period)

    def _end_period(self) -> None:
        if not self.waiting:
            return
        if self._written - self.waiting - self._left_before < _LEAST_BYTES_PER_S * self._period_s:
            self._transport.abort()
        else:
            self._begin_period()
