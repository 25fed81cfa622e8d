"""A cache whose values are made once, shared by threads, and dropped when they take too much room."""

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class Cache(Generic[_Key, _Value]):
    """A cache that makes each value once, however many threads ask for it, and drops the least recently used.

    The value used last is kept however large it is, because making it again for each use would be worse.

    Args:
        make: Function that makes a value from its key. If it raises, all callers that wait for the value get the
            error, and a later call tries again. It may ask the cache for the values of other keys.
        size: Function that returns the size of a value, in any unit.
        limit: Largest sum of the sizes of all values that are kept, in the same unit.
        tell: Function that is told the number and the total size of the kept values whenever these change.
    """

    def __init__(
        self,
        make: Callable[[_Key], _Value],
        size: Callable[[_Value], int],
        limit: float = math.inf,
        tell: Callable[[int, int], None] = lambda _number, _size: None,
    ) -> None:
        self._make = make
        self._size = size
        self._limit = limit
        self._tell = tell
        self._lock = threading.Lock()
        self._futures: OrderedDict[_Key, Future[_Value]] = OrderedDict()
        """Futures of the values, the least recently used first; one that is done has a value, never an error."""

    def get(self, key: _Key) -> _Value:
        """Return the value of a key, and block while it is being made.

        Raises:
            Exception: The value could not be made; the error is the one that `make` raised.
        """
        with self._lock:
            is_first = key not in self._futures
            future = self._futures.setdefault(key, Future())
            self._futures.move_to_end(key)
        if is_first:
            try:
                value = self._make(key)
            except BaseException as error:
                with self._lock:
                    del self._futures[key]
                future.set_exception(error)
            else:
                with self._lock:
                    future.set_result(value)
                    self._futures.move_to_end(key)  # other values were used while this one was made
                self.shrink(self._limit)
        return future.result()

    def kept(self) -> list[_Key]:
        """Return the keys of the values that are kept, the least recently used first."""
        with self._lock:
            return [key for key, future in self._futures.items() if future.done()]

    def shrink(self, limit: float) -> None:
        """Drop the least recently used values until the sum of the other sizes is within a limit, or one is left."""
        with self._lock:
            sizes = {key: self._size(future.result()) for key, future in self._futures.items() if future.done()}
            excess = sum(sizes.values()) - limit
            for key in list(sizes)[:-1]:
                if excess <= 0:
                    break
                del self._futures[key]
                excess -= sizes.pop(key)
            self._tell(len(sizes), sum(sizes.values()))
