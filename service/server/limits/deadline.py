"""Deadlines: work that is not done in time is cancelled, or not begun if it cannot be done in time."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import NamedTuple

from service.contract.problems import DeadlineExceeded, TooLarge
from service.pipeline.plan import Plan
from service.server.settings import Deadlines

HEADER = "X-Deadline-Ms"
"""Header in which a client says how many milliseconds it waits."""


class _Deadline(NamedTuple):
    at: float
    """Time of the event loop at which the work must be done."""
    limit_s: float
    advice: str
    """Advice to ask for more time, followed by a comma, or an empty text where no more is allowed."""


_current: ContextVar[_Deadline] = ContextVar("deadline")


def seconds_allowed(limits: Deadlines, asked_ms: int | None) -> float:
    """Return the seconds that a request may take.

    Args:
        limits: Seconds that the server allows.
        asked_ms: Milliseconds that the client waits, if it says so.
    """
    return limits.usual_s if asked_ms is None else min(asked_ms, limits.longest_s * 1000) / 1000


@asynccontextmanager
async def deadline(limits: Deadlines, asked_ms: int | None) -> AsyncIterator[None]:
    """Cancel the block of the `with` statement when its time is over.

    Args:
        limits: Seconds that the server allows.
        asked_ms: Milliseconds that the client waits, if it says so.

    Raises:
        DeadlineExceeded: The block did not end in time.
    """
    limit_s = seconds_allowed(limits, asked_ms)
    advice = f"allow more by {HEADER}, " if limit_s < limits.longest_s else ""
    try:
        async with asyncio.timeout(limit_s) as timeout:
            token = _current.set(_Deadline(timeout.when() or math.inf, limit_s, advice))
            try:
                yield
            finally:
                _current.reset(token)
    except TimeoutError:
        if not timeout.expired():
            raise
        raise DeadlineExceeded(
            f"the answer was not ready in {limit_s:g} s: {advice}send a smaller picture, or try again later"
        ) from None


def check_time(plan: Plan) -> None:
    """Check that a picture can be made before the deadline of the work in whose context this is called.

    Raises:
        TooLarge: The net would take longer even if the device computed nothing else.
    """
    current = _current.get(None)
    if current is None or plan.net_seconds is None:
        return
    left = current.at - asyncio.get_running_loop().time()
    if plan.net_seconds <= left:
        return
    raise TooLarge(
        f"the picture takes about {math.ceil(plan.net_seconds)} s here, and {current.limit_s:g} s are allowed: "
        f"{current.advice}{plan.how_to_shrink(left / plan.net_seconds)}"
    )
