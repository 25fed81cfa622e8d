"""The moments between the pieces of a large picture.

In them the engine lets other pictures in or stops this one, and whoever wants to know is told how far it is.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

OnProgress = Callable[[float], object]
"""A function that is called with the share of a large picture that is made, 0 to 1, on the thread that makes it."""


def _go_on() -> None:
    """Go on with the next piece at once."""


def _tell_nobody(_made: float) -> None:
    """Ignore the progress."""


_between: ContextVar[Callable[[], None]] = ContextVar("between pieces", default=_go_on)
on_progress: ContextVar[OnProgress] = ContextVar("on progress", default=_tell_nobody)
"""Function that is told of the progress; the engine remembers it of the context in which a picture is submitted."""


def pause(made: float | None = None) -> None:
    """Let the engine act between two pieces; nets call this on the thread on which they were called.

    Args:
        made: Share of the picture that is made, from 0 to 1, or None if it is not known.

    Raises:
        Exception: The picture is no longer wanted; a net lets the error pass.
    """
    if made is not None:
        on_progress.get()(made)
    _between.get()()


@contextmanager
def paused_by(between: Callable[[], None]) -> Iterator[None]:
    """Have a function called between the pieces of what is computed in this context."""
    token = _between.set(between)
    try:
        yield
    finally:
        _between.reset(token)


@contextmanager
def told_to(told: OnProgress) -> Iterator[None]:
    """Have a function told of the progress of what is computed or submitted in this context."""
    token = on_progress.set(told)
    try:
        yield
    finally:
        on_progress.reset(token)


@contextmanager
def as_part(start: float, end: float) -> Iterator[None]:
    """Tell of what is computed or submitted in this context as the part of something longer, between two shares."""
    tell = on_progress.get()
    with told_to(lambda made: tell(start + (end - start) * made)):
        yield
