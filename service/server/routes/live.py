"""Live painting: a WebSocket that paints a stream of pictures as fast as the server can.

The client sends each frame as a binary message, and gets a JPEG back as a binary message. The newest frame wins: one
frame is painted at a time, and of those that come meanwhile only the last is kept. A text message of the client is a
JSON object of options, possibly empty, which hold from the next frame on. The text messages of the server are
`LiveStatus`: in answer to options, when a frame was refused, and about once a second.

On a CPU, light nets paint where each style has one, unless the options say `light`; a style whose version is given is
painted by that version.

A problem that no later frame can mend closes the connection with code 4000 + the HTTP status of the problem, as in 4404
for an unknown style; the problem document comes before it, as `{"problem": …}`. A connection on which nothing comes is
closed with 4408, after a while or to make room for another. A server that stops closes with 1012.

A server with API keys asks for one as everywhere, by `Authorization: Bearer`, which pages in browsers cannot send
with a WebSocket.
"""

import asyncio
import json
import logging
import time
import uuid
from typing import Literal

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, Field, ValidationError
from starlette.types import Message

from service.contract import request_id
from service.contract.closing import close_of
from service.contract.options import StylizeOptions
from service.contract.problems import (
    BadOption,
    Busy,
    DeadlineExceeded,
    DeviceLost,
    InternalError,
    Problem,
    TooLarge,
    Unavailable,
    UploadTimeout,
)
from service.pipeline.answer import Answer
from service.server.admitted import admitted, make_picture
from service.server.limits.authorization import key_of
from service.server.limits.deadline import deadline
from service.server.limits.live_connections import Silence
from service.server.state import State

MOST_FRAME_BYTES = 2 * 1024**2
"""Largest number of bytes of a frame."""
_STATUS_EVERY_S = 1.0
"""Seconds between two status messages while frames are painted."""
_log = logging.getLogger(__name__)

router = APIRouter()


class LiveOptions(StylizeOptions):
    """Options of `/stylize/live`: those of `/stylize`, answered as JPEG."""

    format: Literal["jpeg"] = "jpeg"
    quality: int = Field(80, ge=1, le=100)


class LiveStatus(BaseModel):
    """The status of a connection, which the server sends to its client."""

    style: str
    """Style that was asked for."""
    model: str | None = None
    """Net that painted the last frame, as in `X-Model`; None before the first."""
    painted: int = 0
    """Number of frames that were painted."""
    dropped: int = 0
    """Number of frames that were not painted, because a newer one came first or the server was busy."""
    refused: str | None = None
    """Reason why the last frame was refused; None if it was not."""
    stages: dict[str, float] = {}
    """Milliseconds of each stage of the last frame, as in `Server-Timing`."""


class NewestFrame:
    """A place for one frame, in which a newer frame replaces an older one."""

    def __init__(self) -> None:
        self._frame: bytes | None = None
        self._came = asyncio.Event()

    def put(self, frame: bytes) -> bool:
        """Keep a frame; return whether it replaced one that was not taken."""
        had_one = self._frame is not None
        self._frame = frame
        self._came.set()
        return had_one

    async def take(self) -> bytes:
        """Take the frame that is kept, or wait for the next one."""
        await self._came.wait()
        self._came.clear()
        frame, self._frame = self._frame, None
        assert frame is not None  # noqa: S101
        return frame


class _Session:
    """One live connection."""

    def __init__(self, websocket: WebSocket, state: State, silence: Silence) -> None:
        self._websocket = websocket
        self._state = state
        self._silence = silence
        self._key = key_of(websocket, state.keys) if state.keys else None
        self._options = _read_options(dict(websocket.query_params))
        """Options that the client gave."""
        self._chosen: LiveOptions | None = None
        """Options with which frames are painted; None until they are known."""
        self._status = LiveStatus(style=str(self._options.style))
        self._newest = NewestFrame()
        self._status_sent = 0.0

    async def run(self) -> None:
        """Serve until the client disconnects.

        Raises:
            WebSocketDisconnect: The client disconnected.
            Problem: No more frames can be painted.
        """
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._receive())
                group.create_task(self._paint())
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None  # whichever of the two ended first; the other was cancelled
        finally:
            client = self._websocket.client
            fields: dict[str, object] = {"client": client.host} if client else {}
            fields |= {"painted": self._status.painted, "dropped": self._status.dropped}
            _log.info("live painting ended", extra={"fields": fields})

    async def _receive(self) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message["code"])
            self._silence.end()
            frame = message.get("bytes")
            if frame is None:
                await self._change_options(message)
            elif len(frame) > MOST_FRAME_BYTES:  # where another server than ours has read it
                raise TooLarge(f"a frame has {len(frame):,} bytes; send up to {MOST_FRAME_BYTES:,}: make it smaller")
            elif self._newest.put(frame):
                self._status.dropped += 1

    async def _change_options(self, message: Message) -> None:
        try:
            changes = json.loads(message["text"])
        except (ValueError, RecursionError):  # brackets in brackets, thousands deep
            changes = None
        if not isinstance(changes, dict):
            raise BadOption('a text message is a JSON object of options, as in {"style": "muse"}')
        self._options = _read_options({**self._options.model_dump(exclude_unset=True), **changes})
        self._chosen = None
        self._status.style = str(self._options.style)
        await self._send_status()

    async def _paint(self) -> None:
        while True:
            frame = await self._newest.take()
            try:
                with self._silence.suspended():
                    answer = await self._answer(frame)
            except DeviceLost:
                raise
            except (Busy, Unavailable, DeadlineExceeded) as problem:
                self._status.dropped += 1
                self._status.refused = problem.detail
                await self._send_status()
                continue
            self._status.painted += 1
            self._status.refused, self._status.model = None, answer.model
            self._status.stages = {stage.name: round(stage.seconds * 1000, 1) for stage in answer.stages}
            if time.monotonic() - self._status_sent > _STATUS_EVERY_S:
                await self._send_status()
            await self._websocket.send_bytes(answer.content)

    async def _answer(self, frame: bytes) -> Answer:
        state, options = self._state, await self._choose()
        async with deadline(state.settings.deadlines, None):
            with admitted(state, self._key):
                return await make_picture(state, await state.pipeline.inspect(frame, options))

    async def _choose(self) -> LiveOptions:
        """Return the options with which frames are painted: light nets where these are better and nothing is said."""
        if self._chosen is None:
            options = self._options
            if "light" not in options.model_fields_set:
                is_light = await asyncio.to_thread(self._state.models.prefers_light, options.style)
                options = options.model_copy(update={"light": is_light})
            self._chosen = options
        return self._chosen

    async def _send_status(self) -> None:
        self._status_sent = time.monotonic()
        await self._websocket.send_text(self._status.model_dump_json())


@router.websocket("/stylize/live")
async def stylize_live(websocket: WebSocket) -> None:
    """Paint frames until the client disconnects."""
    connection_id = uuid.uuid4().hex
    request_id.current.set(connection_id)
    # Accepted before anything is checked: a browser does not tell its page why a handshake was refused.
    await websocket.accept()
    state = State.of(websocket)
    try:
        async with asyncio.timeout(None) as timeout:
            silence = Silence(state.settings.live_idle_timeout_s, timeout)
            session = _Session(websocket, state, silence)
            with state.live.connect(silence):
                await session.run()
    except WebSocketDisconnect:
        return
    except TimeoutError:
        silent = UploadTimeout(f"nothing came for {silence.seconds:.0f} s: connect again when there is a frame")
        await _close(websocket, silent, connection_id)
    except Problem as problem:
        await _close(websocket, problem, connection_id)
    except Exception:
        _log.exception("live painting failed")
        await _close(
            websocket, InternalError("something went wrong on our side; the server's log says more"), connection_id
        )


async def _close(websocket: WebSocket, problem: Problem, connection_id: str) -> None:
    try:
        await websocket.send_json({"problem": problem.document(connection_id).model_dump()})
        await websocket.close(*close_of(problem))
    except (WebSocketDisconnect, RuntimeError):  # the client disconnected first
        return


def _read_options(given: dict[str, object]) -> LiveOptions:
    try:
        return LiveOptions.model_validate(given)
    except ValidationError as error:
        wrong = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise BadOption("; ".join(wrong)) from error
