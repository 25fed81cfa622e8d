"""HTTP connections that end: uvicorn's protocol, with limits on what a client may send, hold and leave undone.

uvicorn closes a connection that is idle after an answer, and nothing else. Added here are
- a time and a size for the headers of a request;
- an end that a client hears: what it sends after an early answer is thrown away for a while, because closing at once
  would reset the connection, and the answer would be lost;
- a period in which a client has to take some of its answer, and a limit on all that waits to be taken (see `Outlet`);
- a limit on connections, beyond which the one that has kept the server waiting for the longest is closed;
- refusals as problem documents, with a line in the log.

Bodies are read by the app, which has a time of its own for them. Other servers have a part of this: granian 2.8 a time
and a size for headers, hypercorn 0.18 a size and an idle time. Neither has a setting for clients that do not read.
"""

import asyncio
import logging
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from service.server.connections.outlet import Outlet
from service.server.connections.refusal import refusal
from service.server.settings import ConnectionLimits

_MOST_PIPELINED = 16
"""Largest number of requests that a client may send on one connection before the first of them is answered."""
_log = logging.getLogger(__name__)


class _Refused(Exception):
    """A request is refused before it reaches the app; raised through the parser."""


class HttpProtocol(HttpToolsProtocol):
    """One HTTP connection.

    Args:
        config: Configuration of uvicorn.
        server_state: State of uvicorn's server, which knows all connections.
        app_state: State of the app's lifespan.
        _loop: Event loop.
        limits: Limits of all connections.
    """

    transport: Outlet  # type: ignore[assignment]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: ConnectionLimits,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._timer: asyncio.TimerHandle | None = None
        """Timer of the headers that are awaited, or of the client that is still sending after the end."""
        self._waits_since: float | None = None
        """Time since which the server waits for the client; None while the client waits for the server."""
        self._is_in_head = self._is_in_body = False
        self._head_bytes = 0
        """Bytes of the request line and of all complete headers and trailers of the current request."""
        self._bytes_without_progress = 0
        """Bytes of the current request that came in reads without the beginning of a request and without content."""
        self._has_progress = False
        self._refusal = (HTTPStatus.BAD_REQUEST, "this cannot be read as HTTP/1.1: check what the client sends")
        self._is_deaf = False
        """Whether what comes is not parsed any more."""
        self._discarded = 0

    # Connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(Outlet(transport, self._limits.send_timeout_s, self._linger))  # type: ignore[arg-type]
        self._waits_since = self.loop.time()
        self._await_head()
        if len(self.connections) > self._limits.most:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """End everything that belongs to the connection."""
        self._stop_timer()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over to the WebSocket protocol, without the timers of HTTP."""
        self._is_in_body = False
        self._stop_timer()
        self._unset_keepalive_if_required()
        super().handle_websocket_upgrade()

    def pause_writing(self) -> None:
        """Stop the app from writing more, and abort other connections where too many bytes wait to be taken."""
        super().pause_writing()
        outlets = [each.transport for each in self.connections if isinstance(each.transport, Outlet)]
        excess = sum(each.waiting for each in outlets) - self._limits.answer_bytes
        for each in sorted(outlets, key=lambda outlet: outlet.burden, reverse=True):
            if excess <= 0 or each.waiting == excess + self._limits.answer_bytes:  # one alone may exceed the limit
                return
            excess -= each.waiting
            each.abort()

    def _make_room(self) -> None:
        waited_for = (
            (each._waits_since, each)
            for each in self.connections
            if isinstance(each, HttpProtocol) and each._waits_since is not None
        )
        _, longest = min(waited_for, key=lambda pair: pair[0])
        longest.transport.abort()

    # Requests

    def data_received(self, data: bytes) -> None:
        """Parse what the client sends, or throw it away if the connection is at its end."""
        if self._is_deaf or self.transport.is_lingering:
            self._discarded += len(data)
            if self._discarded > self._limits.discard_bytes:
                self.transport.close()
                return
        if self._is_deaf:
            return
        self._has_progress = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
                return
        except httptools.HttpParserError:
            self._refuse()
            return
        if not self._has_progress:
            self._bytes_without_progress += len(data)
            if self._bytes_without_progress > self._limits.head_bytes:
                self._refusal = self._too_long()
                self._refuse()
                return
        if self._is_in_head and self._timer is None:
            self._await_head()

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._unset_keepalive_if_required()
        if self._waits_since is not None:  # the time in which it was idle does not count against the new request
            self._waits_since = self.loop.time()
        self._has_progress = self._is_in_head = True
        self._head_bytes = self._bytes_without_progress = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a part of the request line."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header or a trailer."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hand a request to the app, unless too many wait on this connection or it is at its end."""
        self._is_in_head = False
        self._stop_timer()
        if self.transport.is_closing():
            raise _Refused
        if len(self.pipeline) >= _MOST_PIPELINED:
            detail = f"more than {_MOST_PIPELINED} requests were sent at once on one connection: wait for their answers"
            self._refusal = HTTPStatus.BAD_REQUEST, detail
            raise _Refused
        self._is_in_body = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the content."""
        self._has_progress = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request; a client that was answered early may send the next."""
        self._is_in_body = False
        self._waits_since = None
        super().on_message_complete()
        if self.transport.is_lingering:
            self.transport.close()
        elif self.cycle is not None and self.cycle.response_complete:
            self._idle(self.timeout_keep_alive)

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the end of this one where it was answered early."""
        super().on_response_complete()
        if self.cycle.response_complete:
            self._waits_since = self.loop.time()
            if self._is_in_body and not self.transport.is_closing():
                self._idle(self._limits.discard_s)

    def _idle(self, seconds: float) -> None:
        self._unset_keepalive_if_required()
        self._waits_since = self.loop.time()
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._limits.head_bytes:
            self._refusal = self._too_long()
            raise _Refused

    def _too_long(self) -> tuple[HTTPStatus, str]:
        detail = f"the headers have more than {self._limits.head_bytes:,} bytes: send fewer or shorter ones"
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, detail

    # Ends

    def _await_head(self) -> None:
        self._timer = self.loop.call_later(self._limits.head_timeout_s, self._head_timed_out)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _head_timed_out(self) -> None:
        if not self._is_in_head:  # nothing came at all
            self.transport.close()
            return
        detail = f"the headers took more than {self._limits.head_timeout_s:g} s: send them at once"
        self._refusal = HTTPStatus.REQUEST_TIMEOUT, detail
        self._refuse()

    def _refuse(self) -> None:
        """Answer the current request by the refusal, unless the client gets or got another answer, and close."""
        self._is_deaf = True
        self._stop_timer()
        cycle = self.cycle
        if self.transport.is_closing():
            return
        if cycle is not None and not cycle.response_complete:
            if not self._is_in_body:  # a request before this one is being answered
                cycle.keep_alive = False
                return
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started or self.pipeline:
                self.transport.abort()
                return
        elif self._is_in_body:  # the request was answered already
            self.transport.close()
            return
        status, detail = self._refusal
        self.transport.write(self._answer(status, detail))
        self.transport.close()
        client = self.client[0] if self.client else None
        _log.info("refused", extra={"fields": {"client": client, "status": int(status), "detail": detail}})

    def _answer(self, status: HTTPStatus, detail: str) -> bytes:
        refused = refusal(status, detail)
        headers = [
            *self.server_state.default_headers,
            *((name.encode(), value.encode()) for name, value in refused.headers),
        ]
        lines = (b"%s: %s\r\n" % header for header in headers)
        return b"".join([STATUS_LINE[status], *lines, b"\r\n", refused.content])

    def _linger(self) -> bool:
        """Return whether the client is still sending, and if so, throw that away until it ends or a time is over."""
        if not self._is_in_body and not self._is_deaf:
            return False
        self._stop_timer()
        self._timer = self.loop.call_later(self._limits.discard_s, self.transport.close)
        self.flow.resume_reading()
        return True
