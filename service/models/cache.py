"""Values that are made once and shared, and forgotten when they take too much room."""

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class Cache(Generic[_Key, _Value]):
    """Makes each value once, however many threads ask for it at the same time; drops the least recently used.

    The value used last is kept however large it is, because to make it again for each use would be worse.

    Args:
        make: makes a value from its key; where it raises, all who wait get the error, and who asks later tries again.
            It may ask for values of other keys.
        size: of a value.
        limit: of the sizes of all values that are kept.
        tell: is told the number and the size of all values that are kept, when that changes.
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
        """Least recently used first; done only with a value."""

    def get(self, key: _Key) -> _Value:
        """The value of a key; blocks while it is made.

        Raises:
            Exception: whatever making it raises.
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
                    self._futures.move_to_end(key)  # others were used while it was made
                self.shrink(self._limit)
        return future.result()

    def kept(self) -> list[_Key]:
        """The keys of the values that are kept, the least recently used first."""
        with self._lock:
            return [key for key, future in self._futures.items() if future.done()]

    def shrink(self, limit: float) -> None:
        """Drops the least recently used values until the others' sizes are within a limit, or one is left."""
        with self._lock:
            sizes = {key: self._size(future.result()) for key, future in self._futures.items() if future.done()}
            excess = sum(sizes.values()) - limit
            for key in list(sizes)[:-1]:
                if excess <= 0:
                    break
                del self._futures[key]
                excess -= sizes.pop(key)
            self._tell(len(sizes), sum(sizes.values()))
