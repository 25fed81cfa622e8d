"""Uploads that are read at the same time, and which of them gives way where memory is short."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from starlette.types import Message

from service.contract.problems import Busy
from service.server.limits.upload_memory import UploadMemory


def pieces(*sizes: int, then_wait: bool = False) -> Callable[[], Awaitable[Message]]:
    """Return a `receive` that gives a body in pieces of these sizes, and then ends it or waits for ever."""
    left = list(sizes)

    async def receive() -> Message:
        if not left and then_wait:
            await asyncio.Event().wait()
        size = left.pop(0) if left else 0
        return {"type": "http.request", "body": bytes(size), "more_body": bool(left) or then_wait}

    return receive


async def read(memory: UploadMemory, receive: Callable[[], Awaitable[Message]]) -> int:
    """Read a body to its end, and return its size."""
    with memory.hold(receive) as receive_counted:
        size, more = 0, True
        while more:
            message = await receive_counted()
            size += len(message["body"])
            more = message["more_body"]
        return size


def test_bytes_are_held_while_the_upload_is_read_and_worked_on() -> None:
    async def scenario() -> tuple[int, int]:
        memory = UploadMemory(100)
        with memory.hold(pieces(40, 30)) as receive:
            await receive()
            await receive()
            held = memory.size
        return held, memory.size

    assert asyncio.run(scenario()) == (70, 0)


def test_one_upload_alone_may_have_more_than_the_limit() -> None:
    assert asyncio.run(read(UploadMemory(100), pieces(500, 500))) == 1000


def test_the_upload_that_has_the_most_for_the_longest_gives_way_to_others() -> None:
    async def scenario() -> list[object]:
        memory = UploadMemory(100)
        small = asyncio.create_task(read(memory, pieces(5, then_wait=True)))
        large = asyncio.create_task(read(memory, pieces(90, then_wait=True)))
        await asyncio.sleep(0.01)
        size = await read(memory, pieces(20))
        refused = await asyncio.gather(large, return_exceptions=True)
        is_left, held = not small.done(), memory.size
        small.cancel()
        return [size, type(refused[0]), is_left, held]

    assert asyncio.run(scenario()) == [20, Busy, True, 5]


def test_an_upload_that_was_read_to_its_end_gives_way_to_none() -> None:
    async def scenario() -> tuple[int, int]:
        memory = UploadMemory(100)
        with memory.hold(pieces(90)) as receive:
            await receive()
            with pytest.raises(Busy):
                await read(memory, pieces(20, then_wait=True))
            await asyncio.sleep(0)  # where this task would be cancelled, if it gave way
            return memory.size, len(asyncio.all_tasks())

    assert asyncio.run(scenario()) == (90, 1)


def test_an_upload_that_is_cancelled_from_outside_stays_cancelled() -> None:
    async def scenario() -> int:
        memory = UploadMemory(100)
        task = asyncio.create_task(read(memory, pieces(90, then_wait=True)))
        await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()
        return memory.size

    assert asyncio.run(scenario()) == 0
