"""Which live connections are open, and which give way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import pytest

from service.contract.problems import Busy
from service.server.limits.live_connections import LiveConnections, Silence


@asynccontextmanager
async def silence(most_s: float = 60) -> AsyncIterator[Silence]:
    """Yield the silence of a connection, which cancels this task when it lasts too long."""
    async with asyncio.timeout(None) as timeout:
        yield Silence(most_s, timeout)


def test_silence_that_lasts_too_long_ends_the_connection() -> None:
    async def scenario() -> None:
        async with silence(0.05):
            await asyncio.sleep(5)

    with pytest.raises(TimeoutError):
        asyncio.run(scenario())


def test_messages_end_the_silence_and_none_is_counted_while_a_frame_is_painted() -> None:
    async def scenario() -> None:
        async with silence(0.2) as each:
            for _ in range(4):
                await asyncio.sleep(0.1)
                each.end()
            with each.suspended():
                await asyncio.sleep(0.3)

    asyncio.run(scenario())


def test_there_are_no_more_connections_than_the_limit_where_all_are_in_use() -> None:
    async def scenario() -> None:
        connections = LiveConnections(2)
        async with silence() as one, silence() as two, silence() as three:
            with ExitStack() as opened:
                for each in (one, two):
                    opened.enter_context(connections.connect(each))
                    opened.enter_context(each.suspended())
                with pytest.raises(Busy) as refusal, connections.connect(three):
                    pass
                assert refusal.value.retry_after == 1
            with connections.connect(three):
                pass

    asyncio.run(scenario())


def test_the_connection_without_frames_that_is_silent_for_longest_gives_way() -> None:
    async def connected(connections: LiveConnections, log: list[str], name: str) -> None:
        try:
            async with silence() as each:
                with connections.connect(each):
                    await asyncio.sleep(0.2)
        except TimeoutError:
            log.append(name)

    async def scenario() -> list[str]:
        connections, log = LiveConnections(2), list[str]()
        async with asyncio.TaskGroup() as group:
            for name in ("first", "second", "third"):
                group.create_task(connected(connections, log, name))
                await asyncio.sleep(0.02)
        return log

    assert asyncio.run(scenario()) == ["first"]
