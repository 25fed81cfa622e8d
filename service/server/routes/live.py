"""Live painting: a WebSocket that paints a stream of pictures as fast as the server can.

The client sends each frame as a binary message, and gets a JPEG back as one. The newest frame wins: one is painted at a
time, and of those that come meanwhile only the last is kept. A text message is a JSON object of options, which hold
from the next frame on; it may be empty. The server's are `LiveStatus`: in answer to that, when a frame was refused, and
about once a second.

What cannot be mended by a later frame ends the connection with code 4000 + the HTTP status of the problem, as in 4404
for an unknown style; the problem document comes before it, as `{"problem": …}`. A server that stops closes with 1012.

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
)
from service.pipeline.answer import Answer
from service.server.admitted import admitted, make_picture
from service.server.limits.authorization import key_of
from service.server.state import State

MOST_FRAME_BYTES = 2 * 1024**2
_CLOSE_CODES = 4000
"""For applications (RFC 6455, 7.4.2); the HTTP status is added."""
_MOST_REASON_BYTES = 123
_STATUS_EVERY_S = 1.0
_log = logging.getLogger(__name__)

router = APIRouter()


class LiveOptions(StylizeOptions):
    """Options of `/stylize/live`: those of `/stylize`, answered as JPEG."""

    format: Literal["jpeg"] = "jpeg"
    quality: int = Field(80, ge=1, le=100)


class LiveStatus(BaseModel):
    """What is told of a connection."""

    style: str
    """As asked for."""
    model: str | None = None
    """That painted the last frame, as in `X-Model`."""
    painted: int = 0
    """Frames answered."""
    dropped: int = 0
    """Frames that were not: a newer one came first, or the server was busy."""
    refused: str | None = None
    """Why the last frame was refused, if it was."""
    stages: dict[str, float] = {}
    """Milliseconds of the last frame, as in `Server-Timing`."""


class NewestFrame:
    """A place for one frame."""

    def __init__(self) -> None:
        self._frame: bytes | None = None
        self._came = asyncio.Event()

    def put(self, frame: bytes) -> bool:
        """Keeps it; says whether one that nobody took had to go."""
        had_one = self._frame is not None
        self._frame = frame
        self._came.set()
        return had_one

    async def take(self) -> bytes:
        """The frame that is there, or the next that comes."""
        await self._came.wait()
        self._came.clear()
        frame, self._frame = self._frame, None
        assert frame is not None  # noqa: S101
        return frame


class _Session:
    """One connection."""

    def __init__(self, websocket: WebSocket, state: State) -> None:
        self._websocket = websocket
        self._state = state
        self._key = key_of(websocket, state.keys) if state.keys else None
        self._options = _read_options(dict(websocket.query_params))
        self._status = LiveStatus(style=str(self._options.style))
        self._newest = NewestFrame()
        self._told = 0.0

    async def run(self) -> None:
        """Serves until the client leaves.

        Raises:
            WebSocketDisconnect: it did.
            Problem: nothing more can be painted.
        """
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._receive())
                group.create_task(self._paint())
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None  # whichever of the two ended first; the other was cancelled
        finally:
            _log.info("live painting ended: %d frames painted, %d dropped", self._status.painted, self._status.dropped)

    async def _receive(self) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message["code"])
            frame = message.get("bytes")
            if frame is None:
                await self._change_options(message)
            elif len(frame) > MOST_FRAME_BYTES:
                raise TooLarge(f"a frame has {len(frame):,} bytes; send up to {MOST_FRAME_BYTES:,}: make it smaller")
            elif self._newest.put(frame):
                self._status.dropped += 1

    async def _change_options(self, message: Message) -> None:
        try:
            changes = json.loads(message["text"])
        except ValueError:
            changes = None
        if not isinstance(changes, dict):
            raise BadOption('a text message is a JSON object of options, as in {"style": "muse"}')
        self._options = _read_options({**self._options.model_dump(exclude_unset=True), **changes})
        self._status.style = str(self._options.style)
        await self._tell()

    async def _paint(self) -> None:
        while True:
            frame = await self._newest.take()
            try:
                answer = await self._answer(frame)
            except DeviceLost:
                raise
            except (Busy, Unavailable, DeadlineExceeded) as problem:
                self._status.dropped += 1
                self._status.refused = problem.detail
                await self._tell()
                continue
            self._status.painted += 1
            self._status.refused, self._status.model = None, answer.model
            self._status.stages = {stage.name: round(stage.seconds * 1000, 1) for stage in answer.stages}
            if time.monotonic() - self._told > _STATUS_EVERY_S:
                await self._tell()
            await self._websocket.send_bytes(answer.content)

    async def _answer(self, frame: bytes) -> Answer:
        state, options = self._state, self._options
        async with admitted(state, self._key):
            return await make_picture(state, frame, options, await state.models.resolve(options))

    async def _tell(self) -> None:
        self._told = time.monotonic()
        await self._websocket.send_text(self._status.model_dump_json())


@router.websocket("/stylize/live")
async def stylize_live(websocket: WebSocket) -> None:
    """Paints frames until the client leaves."""
    connection_id = uuid.uuid4().hex
    request_id.current.set(connection_id)
    # Accepted before anything is looked at: of a refused handshake a browser tells its page nothing.
    await websocket.accept()
    state = State.of(websocket)
    try:
        session = _Session(websocket, state)
        with state.admission.connect():
            await session.run()
    except WebSocketDisconnect:
        return
    except Problem as problem:
        await _close(websocket, problem, connection_id)
    except Exception:
        _log.exception("live painting failed")
        await _close(websocket, InternalError("something went wrong on our side; the log says more"), connection_id)


async def _close(websocket: WebSocket, problem: Problem, connection_id: str) -> None:
    reason = problem.detail.encode()[:_MOST_REASON_BYTES].decode(errors="ignore")
    try:
        await websocket.send_json({"problem": problem.document(connection_id).model_dump()})
        await websocket.close(_CLOSE_CODES + problem.status, reason)
    except (WebSocketDisconnect, RuntimeError):  # it left first
        return


def _read_options(given: dict[str, object]) -> LiveOptions:
    try:
        return LiveOptions.model_validate(given)
    except ValidationError as error:
        wrong = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise BadOption("; ".join(wrong)) from error
