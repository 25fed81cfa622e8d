"""Gives up on what is not ready in time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.contract.problems import DeadlineExceeded

HEADER = "X-Deadline-Ms"


@asynccontextmanager
async def deadline(most_s: float, asked_ms: int | None) -> AsyncIterator[None]:
    """Cancels the block when its time is over.

    Args:
        most_s: seconds that the server takes for an answer.
        asked_ms: milliseconds that the client waits for it; counts where it is less.

    Raises:
        DeadlineExceeded: the block was not left in time.
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
