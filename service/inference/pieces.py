"""The moments between the pieces of a large picture, in which the engine lets other pictures in or stops this one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


def _go_on() -> None:
    """Go on with the next piece at once."""


_between: ContextVar[Callable[[], None]] = ContextVar("between pieces", default=_go_on)


def pause() -> None:
    """Let the engine act between two pieces; nets call this on the thread on which they were called.

    Raises:
        Exception: The picture is no longer wanted; a net lets the error pass.
    """
    _between.get()()


@contextmanager
def paused_by(between: Callable[[], None]) -> Iterator[None]:
    """Have a function called between the pieces of what is computed in this context."""
    token = _between.set(between)
    try:
        yield
    finally:
        _between.reset(token)
