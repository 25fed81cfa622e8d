"""Uploads that come steadily, however slow, and those that come too slowly."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.types import Message

from service.contract.problems import UploadTimeout
from service.server.limits.upload_rate import at_least_rate

PERIOD_S = 0.2
ENOUGH = int(8 * 1024 * PERIOD_S)


def sending(pieces: AsyncIterator[int]) -> Callable[[], Awaitable[Message]]:
    """Return a `receive` that gives pieces of these sizes, and waits for ever after the last."""

    async def receive() -> Message:
        async for size in pieces:
            return {"type": "http.request", "body": bytes(size), "more_body": True}
        return await asyncio.Future()

    return receive


async def every(seconds: float, size: int, number: int) -> AsyncIterator[int]:
    """Give pieces of a size at regular intervals."""
    for _ in range(number):
        await asyncio.sleep(seconds)
        yield size


def received(seconds: float, size: int, number: int) -> tuple[int, float]:
    """Return how many bytes are received until an upload is refused, and after how many seconds that is."""

    async def scenario() -> tuple[int, float]:
        receive = at_least_rate(sending(every(seconds, size, number)), PERIOD_S)
        began, total = asyncio.get_running_loop().time(), 0
        while True:
            try:
                message = await receive()
            except UploadTimeout:
                return total, asyncio.get_running_loop().time() - began
            total += len(message["body"])

    return asyncio.run(scenario())


def test_an_upload_of_which_nothing_comes_is_refused_after_one_period() -> None:
    total, seconds = received(0, 1, number=1)
    assert total == 1
    assert PERIOD_S * 0.9 < seconds < PERIOD_S + 1


def test_an_upload_that_trickles_is_refused_too() -> None:
    total, _ = received(PERIOD_S / 10, 1, number=1000)
    assert 0 < total < 20


def test_an_upload_that_is_slow_and_steady_is_read_for_as_long_as_it_comes() -> None:
    total, seconds = received(PERIOD_S / 3, ENOUGH, number=8)
    assert total == 8 * ENOUGH
    assert seconds > 2 * PERIOD_S


def test_the_time_in_which_the_server_does_not_ask_is_not_counted() -> None:
    async def scenario() -> int:
        receive = at_least_rate(sending(every(0, 1, number=3)), PERIOD_S)
        total = 0
        for _ in range(3):
            await asyncio.sleep(PERIOD_S)
            total += len((await receive())["body"])
        return total

    assert asyncio.run(scenario()) == 3
