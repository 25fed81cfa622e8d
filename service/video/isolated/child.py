"""The process of a film: it decodes and encodes, and has its frames painted by whoever started it.

python -m service.video.isolated.child '{"path": "/dev/fd/5", "format": "mov", "max_pixels": …, "max_seconds": …}'
"""

import asyncio
import json
import os
import sys
import threading
import traceback
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import av.error
import numpy as np

from service.contract.problems import BadFilm, Problem, TooLarge
from service.video.calm import Calm
from service.video.colours import Pixels
from service.video.conversion import Conversion, in_thread
from service.video.encoding import STREAMED
from service.video.isolated import messages
from service.video.isolated.limits import limit_this_process
from service.video.isolated.messages import Begin, Opened
from service.video.metadata import kept
from service.video.source import FilmSource
from service.video.target import FilmTarget

_MOST_FRAMES_PER_SECOND = 120
"""Frames a second of the longest film that may have the most frames."""


class Order(NamedTuple):
    """The film that the process is told to read, and its limits."""

    path: str
    format: str
    """FFmpeg's name of the film's format."""
    max_pixels: int
    """Largest number of pixels of a frame."""
    max_seconds: float
    """Length of the longest film."""


class _Pipe:
    """The pipe to the server, which several threads write to."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()

    def send(self, kind: int, content: Any = b"", number: int = 0) -> None:
        """Send a message."""
        with self._lock:
            messages.send(self._pipe, kind, content, number)


class _Content:
    """The file that the painted film is written to: each piece is sent."""

    def __init__(self, pipe: _Pipe, source: FilmSource) -> None:
        self._pipe = pipe
        self._source = source
        self.target: FilmTarget
        self._has_begun = False

    def write(self, data: bytes) -> int:
        """Send a piece of the film, and before the first one what the film lacks."""
        if not self._has_begun:
            self._has_begun = True
            self._pipe.send(messages.NOTES, [*self._source.notes, *self.target.notes])
        self._pipe.send(messages.CONTENT, data)
        return len(data)


class _Painter:
    """The painter of frames, which has the server paint them."""

    def __init__(self, pipe: _Pipe, begin: Begin) -> None:
        self._pipe = pipe
        self._begin = begin
        self._loop = asyncio.get_running_loop()
        self._painted: dict[int, asyncio.Future[Pixels]] = {}
        self._sent = 0

    async def paint(self, pixels: Pixels) -> Pixels:
        """Have a frame painted."""
        number = self._sent
        self._sent += 1
        future: asyncio.Future[Pixels] = self._loop.create_future()
        self._painted[number] = future
        await in_thread(self._pipe.send, messages.FRAME, pixels, number)
        return await future

    def receive(self, pipe: BinaryIO) -> None:
        """Receive paintings until the server closes the pipe, and end the process then."""
        try:
            while (message := messages.receive(pipe)) is not None:
                shape = self._begin.height, self._begin.width, 3
                pixels = np.frombuffer(message.content, np.uint8).reshape(shape)
                self._loop.call_soon_threadsafe(self._painted.pop(message.number).set_result, pixels)
        finally:
            os._exit(1)


def main() -> None:
    """Convert the film that the command line names."""
    order = Order(**json.loads(sys.argv[1]))
    limit_this_process(order.max_pixels, order.max_seconds)
    # What libraries print to standard output must not come between the messages.
    pipe = _Pipe(cast("BinaryIO", os.fdopen(os.dup(1), "wb")))
    os.dup2(2, 1)
    try:
        with FilmSource(Path(order.path), order.max_pixels, order.format) as source:
            _convert(source, pipe, order)
    except Problem as problem:
        pipe.send(messages.PROBLEM, {"name": type(problem).__name__, "detail": problem.detail})
    except MemoryError:  # of Python, or of FFmpeg
        detail = "the film needs more memory to be decoded and encoded than one film may have: make it smaller"
        pipe.send(messages.PROBLEM, {"name": TooLarge.__name__, "detail": detail})
    except av.error.FFmpegError as error:
        detail = f"FFmpeg cannot decode the film and encode it again ({error.strerror}): repair it, or convert it"
        pipe.send(messages.PROBLEM, {"name": BadFilm.__name__, "detail": detail})
    except Exception:
        pipe.send(messages.PROBLEM, {"name": None, "detail": traceback.format_exc()})
    os._exit(0)  # at once: a thread still waits for paintings


def _convert(source: FilmSource, pipe: _Pipe, order: Order) -> None:
    opened = Opened(source.width, source.height, float(source.seconds), source.frames or 0)
    _check_length(source.seconds, opened.frames, order)
    pipe.send(messages.OPENED, opened._asdict())
    message = messages.receive(sys.stdin.buffer)
    if message is None:
        os._exit(1)
    asyncio.run(_paint(source, pipe, order, Begin(**message.told())))


async def _paint(source: FilmSource, pipe: _Pipe, order: Order, begin: Begin) -> None:
    content = _Content(pipe, source)
    metadata = kept(source.metadata, keep_place=begin.keep_metadata)
    content.target = target = FilmTarget(cast("BinaryIO", content), source, STREAMED, metadata)
    painter = _Painter(pipe, begin)
    threading.Thread(target=painter.receive, args=[sys.stdin.buffer], daemon=True).start()
    frames, start = 0, source.last.start

    def check(time: Fraction) -> None:  # the file may tell a length that it does not have
        nonlocal frames
        frames += 1
        _check_length(time - start, frames, order)

    settle = Calm(begin.temporal).settle if begin.temporal else None
    await Conversion(source, target, painter.paint, begin.window, check, settle).run()
    if source.is_cut:
        raise BadFilm("the film is cut short, and its end is missing: send the whole film")
    pipe.send(messages.END)


def _check_length(seconds: Fraction, frames: int, order: Order) -> None:
    if seconds > order.max_seconds:
        raise TooLarge(
            f"the film is {float(seconds):,.0f} s long, and this server takes up to {order.max_seconds:g} s: cut it"
        )
    most = round(order.max_seconds * _MOST_FRAMES_PER_SECOND)
    if frames > most:
        raise TooLarge(f"the film has {frames:,} frames, and this server takes up to {most:,}: cut it")


if __name__ == "__main__":
    main()
