"""The process of one film, as the server sees it: frames come out of it to be painted, and the painted film."""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import IO, BinaryIO, Self, TypeVar, TypeVarTuple, cast

import numpy as np
from numpy.typing import NDArray

from service.contract.problems import (
    BadFilm,
    BadOption,
    DeadlineExceeded,
    InternalError,
    Problem,
    TooLarge,
    Unavailable,
    UnsupportedFormat,
)
from service.video.isolated import messages
from service.video.isolated.messages import Begin, Message, Opened

Pixels = NDArray[np.uint8]
"""RGB of a frame, upright, `(H, W, 3)`."""
Painter = Callable[[Pixels], Awaitable[Pixels]]
"""A function that paints a frame."""

_PIPE_BYTES = 2**20
"""Bytes that a pipe holds, so that a frame takes few turns."""
_ENVIRONMENT = ("LANG", "LD_LIBRARY_PATH", "PATH")
"""Names of the variables of the environment that the process gets; it gets no key and no password."""
_RETRY_AFTER_S = 10
"""Seconds after which to try again where the machine has no memory left."""
_PROBLEMS = {kind.__name__: kind for kind in (BadFilm, BadOption, TooLarge, UnsupportedFormat)}
"""Problems that the process may report."""
_log = logging.getLogger(__name__)

_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")


class FilmProcess:
    """A process that decodes a film and encodes the painted one, and lives as long as an `async with` block.

    Args:
        film: File of the film, on disk.
        format: FFmpeg's name of its format.
        max_pixels: Largest number of pixels of a frame.
        max_seconds: Length of the longest film in seconds.
        patience_s: Seconds in which the next piece of the painted film must come.
    """

    def __init__(
        self,
        film: IO[bytes],
        format: str,  # noqa: A002
        max_pixels: int,
        max_seconds: float,
        patience_s: float,
    ) -> None:
        self._film = film
        self._order = {"format": format, "max_pixels": max_pixels, "max_seconds": max_seconds}
        self._patience_s = patience_s
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="film")
        self._writing = asyncio.Lock()
        self._painting: set[asyncio.Task[None]] = set()
        self.notes: list[str] = []
        """Sentences about what the painted film lacks, the first of which are known before its first piece."""

    async def __aenter__(self) -> Self:
        self._process = await self._in_thread(self._start)
        self._stdin, self._stdout = cast("BinaryIO", self._process.stdin), cast("BinaryIO", self._process.stdout)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._painting:
            task.cancel()
        self._process.kill()  # whereupon threads that read from it or write to it go on
        await asyncio.gather(*self._painting, return_exceptions=True)
        self._threads.submit(self._bury)
        self._threads.shutdown(wait=False)

    async def open(self) -> Opened:
        """Return what is known of the film once its first frame was decoded.

        Raises:
            Problem: The film cannot be read, or is too long or too large.
        """
        return Opened(**(await self._next()).told())

    async def convert(self, film: Opened, begin: Begin, paint: Painter) -> AsyncGenerator[bytes, None]:
        """Have the film painted, and yield the painted one piece by piece.

        While a piece is not asked for, nothing is read from the process, which then waits, too.

        Args:
            film: What `open` returned.
            begin: How the film is painted.
            paint: Painter of the frames.

        Raises:
            Problem: The film is broken, or a frame could not be painted.
        """
        await self._send(messages.BEGIN, begin._asdict())
        while (message := await self._next()).kind != messages.END:
            if message.kind == messages.FRAME:
                pixels = np.frombuffer(message.content, np.uint8).reshape(film.height, film.width, 3)
                self._painting.add(asyncio.create_task(self._paint(message.number, pixels, paint)))
            elif message.kind == messages.NOTES:
                self.notes = message.told()
            else:
                yield bytes(message.content)

    async def _paint(self, number: int, pixels: Pixels, paint: Painter) -> None:
        await self._send(messages.PAINTED, np.ascontiguousarray(await paint(pixels)), number)

    async def _send(self, kind: int, content: object, number: int = 0) -> None:
        async with self._writing:
            with suppress(BrokenPipeError):  # why the process has ended is found out by reading from it
                await self._in_thread(messages.send, self._stdin, kind, content, number)

    async def _next(self) -> Message:
        """Wait for the next message, or for a frame that cannot be painted.

        Raises:
            Problem: The process reports one, has died, or sends nothing for too long.
        """
        reading = asyncio.ensure_future(self._in_thread(messages.receive, self._stdout))
        try:
            async with asyncio.timeout(self._patience_s):
                while not reading.done():
                    done, _ = await asyncio.wait((reading, *self._painting), return_when=asyncio.FIRST_COMPLETED)
                    for task in done & self._painting:
                        self._painting.discard(task)
                        task.result()
        except TimeoutError:
            raise DeadlineExceeded(
                f"no frame of the film was ready in {self._patience_s:g} s: send a smaller film, or try again later"
            ) from None
        message = reading.result()
        if message is None:
            raise await self._in_thread(self._death)
        if message.kind == messages.PROBLEM:
            raise _reported(message)
        return message

    def _start(self) -> "subprocess.Popen[bytes]":
        descriptor = self._film.fileno()
        order = json.dumps({"path": f"/dev/fd/{descriptor}", **self._order})
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(folder or os.getcwd() for folder in sys.path)
        return subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-m", "service.video.isolated.child", order],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # FFmpeg's complaints of broken films would fill the log
            pass_fds=[descriptor],
            pipesize=_PIPE_BYTES,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the server, which ends the process
        )

    def _death(self) -> Problem:
        """Return the problem because of which the process has ended without a last message."""
        code = self._process.wait()
        _log.warning("the process of a film ended by itself", extra={"fields": {"code": code}})
        if code == -signal.SIGXCPU:
            return TooLarge("the film takes more time to decode and encode than one film may have: make it smaller")
        if code == -signal.SIGKILL:
            return Unavailable("there is not enough memory for the film now: try later or smaller", _RETRY_AFTER_S)
        if code < 0:
            return BadFilm(f"the film crashes its decoder ({signal.Signals(-code).name}): it is broken, repair it")
        return InternalError("the process of the film failed; the server's log says more")

    def _bury(self) -> None:
        self._process.wait()
        for pipe in (self._stdin, self._stdout):
            with suppress(OSError):  # what was not written yet cannot be
                pipe.close()

    async def _in_thread(self, work: Callable[[*_Arguments], _Result], *args: *_Arguments) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)


def _reported(message: Message) -> Problem:
    told = message.told()
    kind = _PROBLEMS.get(told["name"])
    if kind is None:
        _log.error("the process of a film failed: %s", told["detail"])
        return InternalError("something went wrong on our side; the server's log says more")
    return kind(told["detail"])
