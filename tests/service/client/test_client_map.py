"""The clients with many pictures, against a real server process that takes only four at the same time."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.client import Answer, AsyncClient, BadPicture, Busy, Client, ConnectionFailed, Progress

pytestmark = pytest.mark.process

SECONDS = 120
AT_ONCE = 4


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Return the address of a process of `impasto serve`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [Path(sys.executable).with_name("impasto"), "serve", "--port", str(port), "--grace", "5"]
    settings = {"IMPASTO_DEVICE": "cpu", "IMPASTO_STORE": "nothing-here", "IMPASTO_MAX_IN_FLIGHT": str(AT_ONCE)}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | settings)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "running on" in line:
                break
        threading.Thread(target=process.stderr.read, daemon=True).start()  # a full pipe would block the server
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(SECONDS)


class Relay:
    """A relay that passes connections on to a server, but closes the first few when they have sent something."""

    def __init__(self, url: str, hang_up: int = 0) -> None:
        self._address = ("127.0.0.1", httpx.URL(url).port)
        self._to_hang_up = hang_up
        self.open = self.most_open = self.seen = 0
        self.changed = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.seen += 1
        self._count(1)
        try:
            if self.seen <= self._to_hang_up:
                await reader.read(100)
                return
            behind, ahead = await asyncio.open_connection(*self._address)
            try:
                await asyncio.gather(self._pass_on(reader, ahead), self._pass_on(behind, writer))
            finally:
                ahead.close()
        finally:
            writer.close()
            self._count(-1)

    async def until_open(self, number: int) -> None:
        """Wait until so many connections are open."""
        while self.open != number:
            self.changed.clear()
            await self.changed.wait()

    def _count(self, change: int) -> None:
        self.open += change
        self.most_open = max(self.most_open, self.open)
        self.changed.set()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while part := await reader.read(65536):
                writer.write(part)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def relaying(relay: Relay) -> AsyncIterator[str]:
    """Run a relay and return its address."""
    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


class Noting(httpx.AsyncHTTPTransport):
    """A transport that records the statuses of answers."""

    def __init__(self) -> None:
        super().__init__()
        self.statuses: list[int] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        self.statuses.append(response.status_code)
        return response


@pytest.fixture
def pictures(plain_png: Callable[..., bytes]) -> list[bytes]:
    """Return 200 pictures, each of another width."""
    return [plain_png(number, width=16 + number) for number in range(200)]


def widths(answers: list[Answer]) -> list[int]:
    return [answer.to_pil().width for answer in answers]


# Retries


def test_a_busy_server_is_asked_again_until_it_has_room(url: str, plain_png: Callable[..., bytes]) -> None:
    """The server takes four of twelve pictures at the same time, and refuses the others with a real 429."""
    transport = Noting()

    async def call() -> list[Answer]:
        async with AsyncClient(url, retries=60, transport=transport) as client:
            large = plain_png(90, 256, 256)
            return await asyncio.gather(*(client.stylize(large, style="muse") for _ in range(12)))

    answers = asyncio.run(call())
    assert all(answer.model == "muse@1" for answer in answers)
    assert transport.statuses.count(200) == 12
    assert transport.statuses.count(429) > 0


def test_a_server_that_stays_busy_raises_busy_with_the_request_id(url: str, plain_png: Callable[..., bytes]) -> None:
    async def call() -> list[Answer | BaseException]:
        async with AsyncClient(url, retries=0) as client:
            large = plain_png(90, 256, 256)
            calls = (client.stylize(large, style="muse") for _ in range(12))
            return await asyncio.gather(*calls, return_exceptions=True)

    outcomes = asyncio.run(call())
    refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert refused
    assert all(isinstance(outcome, Busy) for outcome in refused)
    ids = {outcome.request_id for outcome in refused if isinstance(outcome, Busy)}
    assert len(ids) == len(refused)


@pytest.mark.parametrize(("hang_ups", "retries"), [(1, 2), (2, 2)])
def test_a_dropped_connection_is_opened_again(url: str, photo_png: bytes, hang_ups: int, retries: int) -> None:
    async def call() -> tuple[Answer, int]:
        relay = Relay(url, hang_up=hang_ups)
        async with relaying(relay) as address, AsyncClient(address, retries=retries) as client:
            return await client.stylize(photo_png, style="muse"), relay.seen

    answer, connections = asyncio.run(call())
    assert answer.model == "muse@1"
    assert connections == hang_ups + 1


def test_a_connection_that_is_dropped_every_time_raises_connection_failed(url: str, photo_png: bytes) -> None:
    async def call() -> int:
        relay = Relay(url, hang_up=99)
        async with relaying(relay) as address, AsyncClient(address, retries=1) as client:
            with pytest.raises(ConnectionFailed):
                await client.stylize(photo_png, style="muse")
        return relay.seen

    assert asyncio.run(call()) == 2


# Cancellation


def test_a_cancelled_call_closes_its_connection(url: str, plain_png: Callable[..., bytes]) -> None:
    async def call() -> None:
        relay = Relay(url)
        async with relaying(relay) as address, AsyncClient(address) as client:
            calling = asyncio.create_task(client.stylize(plain_png(90, 640, 640), style="muse"))
            await relay.until_open(1)
            calling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await calling
            await relay.until_open(0)
            assert (await client.stylize(plain_png(90), style="muse")).model == "muse@1"

    asyncio.run(asyncio.wait_for(call(), SECONDS))


def test_a_map_that_is_cancelled_leaves_no_tasks(url: str, pictures: list[bytes]) -> None:
    async def call() -> None:
        begun = asyncio.Event()

        async def read(client: AsyncClient) -> None:
            async for _ in client.map(pictures, style="muse", on_progress=lambda _: begun.set()):
                pass

        async with AsyncClient(url) as client:
            others = asyncio.all_tasks()
            reading = asyncio.create_task(read(client))
            await begun.wait()
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            assert asyncio.all_tasks() == others

    asyncio.run(asyncio.wait_for(call(), SECONDS))


def test_a_map_that_is_closed_leaves_no_tasks_and_reads_no_more_pictures(url: str, pictures: list[bytes]) -> None:
    async def call() -> None:
        taken = iter(pictures)
        async with AsyncClient(url) as client:
            others = asyncio.all_tasks()
            async with aclosing(client.map(taken, style="muse", concurrency=2)) as answers:
                assert widths([await anext(answers)]) == [16]
            assert asyncio.all_tasks() == others
        assert len(list(taken)) > 150

    asyncio.run(asyncio.wait_for(call(), SECONDS))


def test_a_map_in_threads_that_is_closed_leaves_no_threads_and_reads_no_more_pictures(
    url: str, pictures: list[bytes]
) -> None:
    taken = iter(pictures)
    with Client(url) as client, closing(client.map(taken, style="muse", concurrency=2)) as answers:
        assert widths([next(answers)]) == [16]
    assert len(list(taken)) > 150
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("impasto-map")]


# Many pictures


def test_200_pictures_are_painted_in_their_order_with_8_in_flight(url: str, pictures: list[bytes]) -> None:
    """The server takes 4 at the same time: the others wait, and none fails."""
    told: list[Progress] = []

    async def call() -> tuple[list[Answer], int]:
        relay = Relay(url)
        async with relaying(relay) as address, AsyncClient(address) as client:
            answers = [answer async for answer in client.map(pictures, style="muse", on_progress=told.append)]
            return answers, relay.most_open

    answers, most_open = asyncio.run(asyncio.wait_for(call(), SECONDS))
    assert widths(answers) == list(range(16, 216))
    assert most_open == 8
    assert [each.done for each in told] == list(range(1, 201))
    assert {(each.failed, each.total) for each in told} == {(0, 200)}


def test_the_sync_client_maps_in_order_with_progress(url: str, pictures: list[bytes]) -> None:
    told: list[Progress] = []
    with Client(url) as client:
        answers = list(client.map(pictures[:24], factor=4, format="jpeg", on_progress=told.append))
    assert widths(answers) == [4 * width for width in range(16, 40)]
    assert {answer.media_type for answer in answers} == {"image/jpeg"}
    assert told[-1] == Progress(24, 0, 24)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_errors_take_the_places_of_answers_with_return_errors(url: str, pictures: list[bytes], kind: str) -> None:
    given: list[Any] = [pictures[0], b"", pictures[1], Path("nothing-here.jpg"), pictures[2]]

    async def call() -> list[Answer | Exception]:
        async with AsyncClient(url) as client:
            return [outcome async for outcome in client.map(given, style="muse", return_errors=True)]

    if kind == "async":
        outcomes = asyncio.run(call())
    else:
        with Client(url) as client:
            outcomes = list(client.map(given, style="muse", return_errors=True))
    assert [type(outcome) for outcome in outcomes] == [Answer, BadPicture, Answer, FileNotFoundError, Answer]


def test_the_first_error_ends_a_map(url: str, pictures: list[bytes]) -> None:
    with Client(url) as client:
        answers = client.map([pictures[0], b"", *pictures[1:]], style="muse")
        assert widths([next(answers)]) == [16]
        with pytest.raises(BadPicture):
            next(answers)
        assert list(answers) == []


# How a map takes its input, without a server


def test_pictures_are_read_only_as_they_are_needed() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers={"Content-Type": "image/png"}))
    taken = []

    def endless() -> Iterator[bytes]:
        while True:
            taken.append(1)
            yield b"photo"

    with Client(transport=transport) as client, closing(client.map(endless(), style="muse", concurrency=3)) as answers:
        for _ in range(20):
            next(answers)
    assert 20 <= len(taken) <= 20 + 2 * 3


def test_an_error_of_the_callback_is_not_swallowed() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers={"Content-Type": "image/png"}))

    def fail(_: Progress) -> None:
        raise RuntimeError("the screen is full")

    with Client(transport=transport) as client, pytest.raises(RuntimeError, match="the screen"):
        list(client.map([b"photo"], style="muse", on_progress=fail, return_errors=True))


def test_the_total_is_unknown_for_an_input_without_a_length() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers={"Content-Type": "image/png"}))
    told: list[Progress] = []
    with Client(transport=transport) as client:
        list(client.map((b"photo" for _ in range(2)), style="muse", on_progress=told.append))
    assert told == [Progress(1, 0, None), Progress(2, 0, None)]
