"""Coalescing: work that several requests ask for at the same time is done once."""

import asyncio
import copy
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

_Result = TypeVar("_Result")


class _Shared(Generic[_Result]):
    """Work in flight, and the number of callers that wait for it."""

    def __init__(self, task: asyncio.Task[_Result]) -> None:
        self.task = task
        self.waiting = 0


class Coalescing(Generic[_Result]):
    """The work in flight, by its keys; used on one event loop only.

    Work belongs to all callers that wait for it: it goes on when one of them is cancelled, the first included, and is
    cancelled with the last. No result is kept once the work is done.

    Args:
        on_join: Function that is called when a caller waits for work that another caller began.
    """

    def __init__(self, on_join: Callable[[], None] = lambda: None) -> None:
        self._in_flight: dict[str, _Shared[_Result]] = {}
        self._on_join = on_join

    async def run(self, key: str, work: Callable[[], Coroutine[Any, Any, _Result]]) -> _Result:
        """Return the result of the work in flight with this key, or begin it where there is none.

        Args:
            key: Text that is the same for all work with the same result.
            work: Function that begins the work; it is not called if work with this key is in flight.

        Raises:
            Exception: The work failed; each caller gets a copy of its error.
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
                self._forget(key, shared)  # at once: a new caller must not wait for work that is being cancelled
                shared.task.cancel()
        error = None if shared.task.cancelled() else shared.task.exception()
        if error is not None:
            raise copy.copy(error).with_traceback(error.__traceback__)
        return shared.task.result()

    def _forget(self, key: str, shared: _Shared[_Result]) -> None:
        if self._in_flight.get(key) is shared:
            del self._in_flight[key]
