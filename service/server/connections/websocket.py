"""WebSocket connections: uvicorn's protocol, with limits on what a client may send without ending a message.

uvicorn closes a connection whose message is too large, without a reason that an application could show, and keeps the
beginnings of all messages however many there are. Added here are
- refusals of a handshake as problem documents;
- an end that a client hears, as in `service.server.routes.live`: the problem document as a text message, then the code
  4000 + its status, while what still comes is thrown away for a while;
- a limit on the bytes of all messages that have begun, beyond which the one that has had the most for the longest ends.
"""

import asyncio
import json
import logging
import uuid
from http import HTTPStatus
from typing import Any

from uvicorn import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.datastructures import Headers
from websockets.frames import Close, CloseCode, Frame, Opcode
from websockets.http11 import Response
from websockets.server import ServerProtocol
from websockets.typing import StatusLike

from service.contract.closing import close_of
from service.contract.problems import Busy, Problem, TooLarge
from service.server.connections.refusal import refusal
from service.server.settings import ConnectionLimits

_MOST_FRAGMENTS = 1024
"""Largest number of frames that a message may consist of."""
_log = logging.getLogger(__name__)


class _Handshake(ServerProtocol):
    """A WebSocket protocol whose refusals are problem documents."""

    def reject(self, status: StatusLike, text: str) -> Response:
        """Make the answer to a handshake that is refused."""
        reason = text.partition("\n")[0].rstrip(".") or "there is no WebSocket at this path"
        refused = refusal(HTTPStatus(status), f"{reason}: see /stylize/live in the documentation")
        return Response(refused.status, refused.status.phrase, Headers(refused.headers), refused.content)


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket connection.

    Args:
        config: Configuration of uvicorn.
        server_state: State of uvicorn's server, which knows all connections.
        app_state: State of the app's lifespan.
        _loop: Event loop.
        limits: Limits of all connections.
    """

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
        self.conn = _Handshake(max_size=config.ws_max_size, logger=self.logger)
        self._limits = limits
        self._held = 0
        """Bytes of a message that has not ended."""
        self._held_since = 0.0
        self._is_refused = False
        self._discarded = 0

    def data_received(self, data: bytes) -> None:
        """Parse what the client sends, or throw it away after the connection was refused."""
        if self._is_refused:
            self._discarded += len(data)
            if self._discarded > self._limits.discard_bytes:
                self.transport.close()
            return
        super().data_received(data)
        had_some = bool(self._held)
        self._held = len(self.conn.reader.buffer) + sum(len(each) for each in self.frames)
        if self._held:
            if not had_some:
                self._held_since = self.loop.time()
            self._make_room()

    def handle_cont(self, event: Frame) -> None:
        """Take a further frame of a message."""
        if len(self.frames) >= _MOST_FRAGMENTS:
            self._refuse(TooLarge(f"a message came in more than {_MOST_FRAGMENTS:,} frames: send it in one"))
            return
        super().handle_cont(event)

    def handle_parser_exception(self) -> None:
        """End a connection on which came what is no WebSocket frame, or a message that is too large."""
        if self.conn.close_sent is not None and self.conn.close_sent.code == CloseCode.MESSAGE_TOO_BIG:
            most = self.config.ws_max_size
            self._refuse(TooLarge(f"a frame has more than the {most:,} bytes that this server takes: make it smaller"))
        else:
            super().handle_parser_exception()

    def _make_room(self) -> None:
        holding = [each for each in self.connections if isinstance(each, WebSocketProtocol) and each._held]
        if sum(each._held for each in holding) <= self._limits.message_bytes or len(holding) == 1:
            return
        now = self.loop.time()
        heaviest = max(holding, key=lambda each: each._held * (now - each._held_since))
        heaviest._refuse(
            Busy(
                f"frames that have not ended have more than the {self._limits.message_bytes:,} bytes that this server "
                "holds at once, and this one has had the most for the longest: send it again",
                1,
            )
        )

    def _refuse(self, problem: Problem) -> None:
        """Send a problem and the end of the connection, and throw away what comes until the client hears it."""
        document = problem.document(uuid.uuid4().hex).model_dump()
        code, reason = close_of(problem)
        self.conn.data_to_send()  # forgets the end without a reason that the parser may have prepared
        for frame in (
            Frame(Opcode.TEXT, json.dumps({"problem": document}).encode()),
            Frame(Opcode.CLOSE, Close(code, reason).serialize()),
        ):
            self.transport.write(frame.serialize(mask=False))
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.stop_keepalive()
        self.close_sent = self.disconnected = self._is_refused = True
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self._held = 0
        self.frames = []
        self.conn.reader.buffer.clear()
        self.close_timer = self.loop.call_later(self._limits.discard_s, self.transport.close)
        client = self.client[0] if self.client else None
        _log.info("refused", extra={"fields": {"client": client, "status": problem.status, "detail": problem.detail}})
