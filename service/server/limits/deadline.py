"""Deadlines: work that is not done in time is cancelled, and the client is told so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.contract.problems import DeadlineExceeded

HEADER = "X-Deadline-Ms"
"""Header in which a client says how many milliseconds it waits."""


@asynccontextmanager
async def deadline(most_s: float, asked_ms: int | None) -> AsyncIterator[None]:
    """Cancel the block of the `with` statement when its time is over.

    Args:
        most_s: Seconds that the server allows.
        asked_ms: Milliseconds that the client waits, if it says so; they count only where they are less.

    Raises:
        DeadlineExceeded: The block did not end in time.
    """
    most_ms = most_s * 1000
    limit_ms = most_ms if asked_ms is None else min(asked_ms, most_ms)
    try:
        async with asyncio.timeout(limit_ms / 1000) as timeout:
            yield
    except TimeoutError:
        if not timeout.expired():
            raise
        advice = f"allow more by {HEADER}, send" if limit_ms < most_ms else "send"
        raise DeadlineExceeded(
            f"the answer was not ready in {limit_ms / 1000:g} s: {advice} a smaller picture, or try again later"
        ) from None
