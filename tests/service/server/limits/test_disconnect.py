import asyncio

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from service.server.limits.disconnect import unless_disconnected


def request_of_a_client(leaves_after: float) -> Request:
    """Return a request whose body was read, and whose client disconnects after so many seconds."""

    async def receive() -> Message:
        await asyncio.sleep(leaves_after)
        return {"type": "http.disconnect"}

    return Request({"type": "http"}, receive)


async def work(seconds: float, log: list[str]) -> str:
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        log.append("cancelled")
        raise
    return "done"


def test_the_result_of_work_is_returned_while_the_client_waits() -> None:
    log: list[str] = []
    assert asyncio.run(unless_disconnected(request_of_a_client(leaves_after=60), work(0.01, log))) == "done"
    assert log == []


def test_work_is_cancelled_when_the_client_disconnects() -> None:
    log: list[str] = []
    with pytest.raises(ClientDisconnect):
        asyncio.run(unless_disconnected(request_of_a_client(leaves_after=0.01), work(60, log)))
    assert log == ["cancelled"]


def test_an_error_of_the_work_is_passed_on() -> None:
    async def failing() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        asyncio.run(unless_disconnected(request_of_a_client(leaves_after=60), failing()))
