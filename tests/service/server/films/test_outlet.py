"""A client may take a film as slowly as it is played, and not slower."""

import asyncio

import pytest
from starlette.types import Message

from service.contract.problems import DeadlineExceeded
from service.server.films.outlet import FilmOutlet


def test_the_seconds_for_which_the_server_waits_are_added_up() -> None:
    sent = []

    async def slowly(message: Message) -> None:
        await asyncio.sleep(0.05)
        sent.append(message)

    async def run() -> None:
        outlet = FilmOutlet(slowly, patience_s=0.28)
        for number in range(10):
            await outlet.send({"type": str(number)})

    with pytest.raises(DeadlineExceeded, match="more slowly than it is played"):
        asyncio.run(run())
    assert 3 <= len(sent) <= 5


def test_a_client_that_takes_everything_at_once_may_take_all_time() -> None:
    async def at_once(message: Message) -> None:
        pass

    async def run() -> None:
        outlet = FilmOutlet(at_once, patience_s=0.1)
        for _ in range(4):
            await asyncio.sleep(0.05)
            await outlet.send({"type": "piece"})

    asyncio.run(run())
