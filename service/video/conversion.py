"""The conversion of a film: it is decoded, painted and encoded at the same time, a few frames at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from fractions import Fraction
from typing import TypeVar, TypeVarTuple

from service.video.colours import Pixels
from service.video.source import FilmSource, Frame, Packet
from service.video.target import FilmTarget

Painter = Callable[[Pixels], Awaitable[Pixels]]
"""A function that makes the pixels of a frame, all of one size, from those of the film's frame."""
Settler = Callable[[Pixels, Pixels], Pixels]
"""A function that gets the frames and their paintings in the film's order, and returns what is written of each."""
_ITEMS_AHEAD = 64
"""Largest number of packets and frames between decoding and encoding."""
_Item = Packet | tuple[Frame, asyncio.Task[Pixels]]
"""A packet that is copied, or a frame and its painting."""

_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")


class Conversion:
    """The conversion of one film.

    Args:
        source: Film that is read.
        target: Film that is written; it is closed at the end, also at an early one.
        paint: Painter of the frames.
        window: Number of frames that are painted at the same time; as many again may be in memory.
        on_frame: Function that is called with the time of each frame that is encoded, in seconds.
        settle: Settler of the paintings, which is called on other threads; None if they are written as they are.
    """

    def __init__(
        self,
        source: FilmSource,
        target: FilmTarget,
        paint: Painter,
        window: int,
        on_frame: Callable[[Fraction], object],
        settle: Settler | None = None,
    ) -> None:
        self._source = source
        self._target = target
        self._paint = paint
        self._on_frame = on_frame
        self._settle = settle
        self._room = asyncio.Semaphore(window)
        self._ahead: asyncio.Queue[_Item | Exception | None] = asyncio.Queue(_ITEMS_AHEAD)
        self._painting: set[asyncio.Task[Pixels]] = set()

    async def run(self, after: Fraction | None = None) -> None:
        """Convert the film to its end; when cancelled, what was painted in order is encoded still.

        Args:
            after: Time in seconds up to which frames are left out, because an earlier run made them.

        Raises:
            BadFilm: The film is broken.
            Exception: A frame could not be painted or written.
        """
        reading = asyncio.create_task(self._read(after))
        try:
            while (item := await self._ahead.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                await self._write(item)
        finally:
            for task in (reading, *self._painting):
                task.cancel()
            await asyncio.gather(reading, *self._painting, return_exceptions=True)
            await in_thread(self._target.close)

    async def _read(self, after: Fraction | None) -> None:
        """Decode ahead of what is written, and have each frame painted as soon as there is room."""
        items = self._source.read(after)
        try:
            while (item := await in_thread(next, items, None)) is not None:
                if isinstance(item, Frame):
                    await self._room.acquire()
                    task = asyncio.create_task(self._painted(item.pixels))
                    self._painting.add(task)
                    await self._ahead.put((item, task))
                else:
                    await self._ahead.put(item)
        except Exception as error:  # which is raised when the frames before it are written
            await self._ahead.put(error)
        else:
            await self._ahead.put(None)

    async def _painted(self, pixels: Pixels) -> Pixels:
        return await self._paint(pixels)

    async def _write(self, item: _Item) -> None:
        if not isinstance(item, tuple):
            await in_thread(self._target.copy, item)
            return
        frame, task = item
        pixels = await task
        self._painting.discard(task)
        self._room.release()
        if self._settle is not None:
            pixels = await in_thread(self._settle, frame.pixels, pixels)
        await in_thread(self._target.write, frame._replace(pixels=pixels))
        self._on_frame(frame.pts * self._source.time_base)


async def in_thread(work: Callable[[*_Arguments], _Result], *args: *_Arguments) -> _Result:
    """Run the work on another thread; when cancelled, wait for it: only one thread may use an object of FFmpeg."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *args))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
