"""Computes once what several ask for at the same time."""

import asyncio
import copy
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

_Result = TypeVar("_Result")


class _Shared(Generic[_Result]):
    """Work under way, and how many wait for it."""

    def __init__(self, task: asyncio.Task[_Result]) -> None:
        self.task = task
        self.waiting = 0


class Coalescing(Generic[_Result]):
    """Work in flight by its key; used on one event loop only.

    Work belongs to all who wait for it: it goes on when one of them leaves, the first included, and is cancelled with
    the last. Nothing is kept once it is done.

    Args:
        on_join: called when somebody comes to wait for work that another began.
    """

    def __init__(self, on_join: Callable[[], None] = lambda: None) -> None:
        self._in_flight: dict[str, _Shared[_Result]] = {}
        self._on_join = on_join

    async def run(self, key: str, work: Callable[[], Coroutine[Any, Any, _Result]]) -> _Result:
        """The result of the work of this key that is in flight, else of this work.

        Args:
            key: the same where the results would be.
            work: begins it; not called where it is in flight.

        Raises:
            Exception: a copy of what the work raised, for each who waits.
        """
        shared = self._in_flight.get(key)
        if shared is None:
            shared = self._in_flight[key] = _Shared(asyncio.create_task(work()))
            shared.task.add_done_callback(lambda _: self._forget(key, shared))
        else:
            self._on_join()
        shared.waiting += 1
        try:
            await asyncio.wait([shared.task])
        finally:
            shared.waiting -= 1
            if not shared.waiting:
                self._forget(key, shared)  # at once: who comes now must not wait for what is being cancelled
                shared.task.cancel()
        error = None if shared.task.cancelled() else shared.task.exception()
        if error is not None:
            raise copy.copy(error).with_traceback(error.__traceback__)
        return shared.task.result()

    def _forget(self, key: str, shared: _Shared[_Result]) -> None:
        if self._in_flight.get(key) is shared:
            del self._in_flight[key]
