"""Doing the same work on many items, several at the same time, with the results in the order of the items."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_WINDOW = 2
"""Items taken from the input for each that may be worked on, so that one slow item does not soon hold up the others."""


class Progress(NamedTuple):
    """The progress of a `map`."""

    done: int
    """The number of pictures that were made."""
    failed: int
    """The number of pictures whose calls failed."""
    total: int | None
    """The number of pictures in all, or None if the input has no length."""


OnProgress = Callable[[Progress], object] | None
"""A function that `map` calls with the progress after each picture, or None."""


class Tally:
    """A count of outcomes that reports the progress, from one thread at a time.

    Args:
        items: The items whose outcomes are counted.
        on_progress: A function that is called with the progress after each item, or None.
    """

    def __init__(self, items: Iterable[object], on_progress: Callable[[Progress], object] | None) -> None:
        self._progress = Progress(0, 0, len(items) if isinstance(items, Sized) else None)
        self._on_progress = on_progress
        self._lock = threading.Lock()

    def count(self, *, failed: bool) -> None:
        """Count one outcome and report the progress."""
        with self._lock:
            done, failures, total = self._progress
            self._progress = Progress(done + (not failed), failures + failed, total)
            if self._on_progress is not None:
                self._on_progress(self._progress)


def map_in_threads(
    work: Callable[[_Item], _Result], items: Iterable[_Item], concurrency: int, stop: Callable[[], object]
) -> Generator[_Result, None, None]:
    """Work on many items in threads, and yield the results in the order of the items.

    Args:
        work: A function that is called with each item. What it raises is raised when the item's turn comes, and ends
            the iteration.
        items: The items, which are taken as they are needed, at most `2 * concurrency` ahead of the results.
        concurrency: The number of items worked on at the same time; at least 1.
        stop: A function that is called once at the end, also at an early one, to hasten the work that has begun, which
            is then waited for.
    """
    source = iter(items)
    taken: deque[Future[_Result]] = deque()
    pool = ThreadPoolExecutor(concurrency, "impasto-map")
    try:
        while True:
            while len(taken) < _WINDOW * concurrency:
                try:
                    item = next(source)
                except StopIteration:
                    break
                taken.append(pool.submit(work, item))
                if taken[0].done():
                    break  # yield the finished result first, because `next` may take long
            if not taken:
                return
            yield taken.popleft().result()
    finally:
        stop()
        pool.shutdown(cancel_futures=True)


async def map_in_tasks(
    work: Callable[[_Item], Awaitable[_Result]], items: Iterable[_Item], concurrency: int
) -> AsyncGenerator[_Result, None]:
    """Work on many items in tasks, and yield the results in the order of the items.

    At an early end, all tasks are cancelled and awaited.

    Args:
        work: A coroutine function that is called with each item. What it raises is raised when the item's turn comes,
            and ends the iteration.
        items: The items, which are taken as they are needed, at most `2 * concurrency` ahead of the results.
        concurrency: The number of items worked on at the same time; at least 1.
    """
    source = iter(items)
    taken: deque[asyncio.Task[_Result]] = deque()
    slots = asyncio.Semaphore(concurrency)

    async def work_in_slot(item: _Item) -> _Result:
        async with slots:
            return await work(item)

    try:
        while True:
            while len(taken) < _WINDOW * concurrency:
                try:
                    item = next(source)
                except StopIteration:
                    break
                taken.append(asyncio.create_task(work_in_slot(item)))
                if taken[0].done():
                    break  # yield the finished result first, because `next` may take long
            if not taken:
                return
            yield await taken[0]
            taken.popleft()
    finally:
        for task in taken:
            task.cancel()
        await asyncio.gather(*taken, return_exceptions=True)
