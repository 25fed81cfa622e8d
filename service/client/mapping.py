"""The same work on many items: several at once, with the results in the order of the items."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_WINDOW = 2
"""Items taken ahead, for each that is worked on: one slow item does not stop the others at once."""


class Progress(NamedTuple):
    """How far a `map` is."""

    done: int
    """Pictures that were answered."""
    failed: int
    """Pictures that were not."""
    total: int | None
    """Pictures in all, where the input knows that."""


class Tally:
    """Counts outcomes and tells the progress, from one thread at a time.

    Args:
        items: of which the outcomes are counted.
        on_progress: is told after each.
    """

    def __init__(self, items: Iterable[object], on_progress: Callable[[Progress], object] | None) -> None:
        self._progress = Progress(0, 0, len(items) if isinstance(items, Sized) else None)
        self._on_progress = on_progress
        self._lock = threading.Lock()

    def count(self, *, failed: bool) -> None:
        """Counts one outcome."""
        with self._lock:
            done, failures, total = self._progress
            self._progress = Progress(done + (not failed), failures + failed, total)
            if self._on_progress is not None:
                self._on_progress(self._progress)


def map_in_threads(
    work: Callable[[_Item], _Result], items: Iterable[_Item], concurrency: int, stop: Callable[[], object]
) -> Generator[_Result, None, None]:
    """Works on so many items at once, each in a thread.

    Args:
        work: is called with each item; whatever it raises ends the iteration when its turn comes.
        items: taken as they are needed, at most `2 * concurrency` ahead.
        concurrency: at least 1.
        stop: is called at the end, also an early one, before it is waited for the work that has begun.
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
                    break  # the next may be long in coming
            if not taken:
                return
            yield taken.popleft().result()
    finally:
        stop()
        pool.shutdown(cancel_futures=True)


async def map_in_tasks(
    work: Callable[[_Item], Awaitable[_Result]], items: Iterable[_Item], concurrency: int
) -> AsyncGenerator[_Result, None]:
    """Works on so many items at once, each in a task; all are cancelled and awaited at an early end.

    Args:
        work: is called with each item; whatever it raises ends the iteration when its turn comes.
        items: taken as they are needed, at most `2 * concurrency` ahead.
        concurrency: at least 1.
    """
    source = iter(items)
    taken: deque[asyncio.Task[_Result]] = deque()
    slots = asyncio.Semaphore(concurrency)

    async def work_in_turn(item: _Item) -> _Result:
        async with slots:
            return await work(item)

    try:
        while True:
            while len(taken) < _WINDOW * concurrency:
                try:
                    item = next(source)
                except StopIteration:
                    break
                taken.append(asyncio.create_task(work_in_turn(item)))
                if taken[0].done():
                    break  # likewise
            if not taken:
                return
            yield await taken[0]
            taken.popleft()
    finally:
        for task in taken:
            task.cancel()
        await asyncio.gather(*taken, return_exceptions=True)
