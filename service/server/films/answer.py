"""The answer to a film: the painted film, sent while it is made."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import IO

import torch
from fastapi import Request, Response
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from service.contract.options import Options
from service.contract.problems import BadOption, DeadlineExceeded, Problem, TooLarge, Unavailable, UnsupportedFormat
from service.pipeline.transformation import Transformation
from service.server.admitted import admitted
from service.server.cache_control import NO_STORE
from service.server.films.beginning import Beginning
from service.server.films.outlet import FilmOutlet
from service.server.films.upload import film_upload
from service.server.limits.deadline import deadline, seconds_allowed
from service.server.limits.disconnect import unless_disconnected
from service.server.state import State
from service.server.telemetry.record import RequestRecord
from service.video.encoding import DEFAULT_TEMPORAL
from service.video.isolated.messages import Begin, Opened
from service.video.isolated.process import FilmProcess, Painter, Pixels
from service.video.recognition import films_can_be_made

MEDIA_TYPE = "video/mp4"
_log = logging.getLogger(__name__)


class FilmAnswer(Response):
    """The answer to a request with a film.

    All work is done while it is sent. A problem before the first piece of the film is an answer of its own; after it,
    the answer ends without its last chunk, so that no client takes what it got for the whole film.

    Args:
        request: Request whose body was read only as far as `beginning` goes.
        beginning: Beginning of the upload, which is that of a film.
        options: Options of the frames.
        deadline_ms: Milliseconds that the client waits for the first frame, and for each other, if it says so.
    """

    def __init__(self, request: Request, beginning: Beginning, options: Options, deadline_ms: int | None) -> None:
        super().__init__(media_type=MEDIA_TYPE)
        self._request = request
        self._state = State.of(request)
        self._record = RequestRecord.of(request)
        self._beginning = beginning
        self._options = options
        self._deadline_ms = deadline_ms
        self._task = options.task
        self._has_begun = False
        self._frames = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Read the film, make it and send it (ASGI).

        Raises:
            Problem: The film cannot be made, and no piece of it was sent.
            ClientDisconnect: The client disconnected before a piece of it was sent.
        """
        outcome = "refused"
        try:
            await self._serve(scope, send)
            outcome = "whole"
        except ClientDisconnect:
            outcome = "client left"
            if not self._has_begun:
                raise
        except asyncio.CancelledError:  # the server is stopping, and its grace is over
            outcome = "server stopped"
            if not self._has_begun:
                raise Unavailable("the server is shutting down: try another", 5) from None
        except Problem as problem:
            if not self._has_begun:
                raise
            outcome = "broken off"
            self._record.problem = problem.name
            _log.warning("a film was broken off: %s", problem.detail)
        except Exception:
            if not self._has_begun:
                raise
            outcome = "broken off"
            _log.exception("a film was broken off")
        finally:
            self._record.fields |= {"film": outcome, "frames": self._frames}
            self._state.metrics.film_ended(self._task, outcome)

    async def _serve(self, scope: Scope, send: Send) -> None:
        """Read the film, wait for its place, and make it.

        Raises:
            Problem: The film cannot be made.
            ClientDisconnect: The client disconnected.
        """
        state, settings = self._state, self._state.settings
        if not films_can_be_made():
            raise UnsupportedFormat("this is a film, and this server makes none: have impasto[video] installed on it")
        if scope.get("http_version") == "1.0":
            raise HTTPException(505, "a film is answered in pieces, whose end HTTP/1.0 cannot tell: send HTTP/1.1")
        if self._options.format != "auto":
            raise BadOption("a film is answered as MP4: leave out the option 'format'")
        state.films.check_place()
        await state.pipeline.check(self._options)
        with state.films.uploads.hold(self._beginning.receive) as receive:
            async with film_upload(Request(scope, receive), settings.video_upload_timeout_s) as file:
                with admitted(state, self._record.key), state.films.place():
                    await unless_disconnected(self._request, self._make(file, send))

    async def _make(self, file: IO[bytes], send: Send) -> None:
        state, settings = self._state, self._state.settings
        allowed_s = seconds_allowed(settings.deadlines, self._deadline_ms)
        process = FilmProcess(
            file,
            self._beginning.film_format or "",
            settings.max_video_pixels,
            settings.max_video_seconds,
            allowed_s,
        )
        try:
            async with asyncio.timeout(settings.video_deadline_s) as total, process:
                async with deadline(settings.deadlines, self._deadline_ms):
                    film = await process.open()
                    made = await state.pipeline.transformation(film.width, film.height, self._options)
                    pieces = process.convert(film, self._begin(film, made), self._painter(made))
                    first = await anext(pieces)
                async with aclosing(pieces):
                    outlet = FilmOutlet(send, film.seconds + settings.send_timeout_s)
                    await self._send(outlet, made, process.notes, first, pieces)
        except TimeoutError:
            if not total.expired():
                raise
            raise DeadlineExceeded(
                f"the film was not made in {settings.video_deadline_s:g} s: send a shorter or a smaller one"
            ) from None

    def _begin(self, film: Opened, made: Transformation) -> Begin:
        """Return how the film is painted.

        Raises:
            TooLarge: The frames are too large to be encoded, or they are known to take too long.
        """
        settings = self._state.settings
        width, height = (round(side * made.factor) for side in (made.width, made.height))
        if width * height > settings.max_video_pixels:
            raise TooLarge(
                f"the film would have {width:,}×{height:,} pixels; this server makes films of up to "
                f"{settings.max_video_pixels:,} in all: ask for a smaller one"
            )
        paces = [self._state.engine.pace.seconds(net, made.seen[0] * made.seen[1]) for net in made.nets]
        seconds = film.frames * sum(pace or 0 for pace in paces) / self._state.films.frames
        if made.needs_net and seconds > settings.video_deadline_s:
            raise TooLarge(
                f"the film takes about {seconds:,.0f} s here, and {settings.video_deadline_s:g} s are allowed: send a "
                "shorter or a smaller one"
            )
        temporal = DEFAULT_TEMPORAL if self._task == "stylize" and made.needs_net else 0.0
        return Begin(width, height, self._state.films.frames, self._options.keep_metadata, temporal)

    def _painter(self, made: Transformation) -> Painter:
        state = self._state

        async def paint(pixels: Pixels) -> Pixels:
            async with state.films.turn():
                painted: Pixels = (await state.pipeline.make_pixels(made, torch.from_numpy(pixels))).numpy()
            self._frames += 1
            state.metrics.frame_made(self._task)
            return painted

        return paint

    async def _send(
        self, outlet: FilmOutlet, made: Transformation, notes: list[str], first: bytes, pieces: AsyncIterator[bytes]
    ) -> None:
        headers = MutableHeaders({"Content-Type": MEDIA_TYPE, "X-Model": made.model, "Cache-Control": NO_STORE})
        if notes:
            headers["X-Notes"] = "; ".join(notes).replace("×", "x").encode("ascii", "replace").decode()
        self._has_begun = True
        await outlet.send({"type": "http.response.start", "status": 200, "headers": headers.raw})
        await outlet.send({"type": "http.response.body", "body": first, "more_body": True})
        async for piece in pieces:
            await outlet.send({"type": "http.response.body", "body": piece, "more_body": True})
        await outlet.send({"type": "http.response.body", "body": b"", "more_body": False})
