import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from PIL import Image

from model_store.store import BUNDLED, Store
from service.client import Client, DeadlineExceeded
from service.contract.problems import DeadlineExceeded as DeadlineExceededProblem
from service.server.limits.deadline import deadline
from service.server.settings import Deadlines, Settings

from ....picture_files import encoded, plain_png
from ...serving import serve, stylize
from ...stores import EndlessStore, GatedStore, SlowStore

HOURS = 3600 * 1000


# The context manager


def run(limits: Deadlines, asked_ms: int | None, work: Callable[[], Any]) -> Any:
    async def with_deadline() -> Any:
        async with deadline(limits, asked_ms):
            return await work()

    return asyncio.run(with_deadline())


async def endless() -> None:
    await asyncio.Event().wait()


async def quick() -> str:
    return "done"


@pytest.mark.parametrize("asked_ms", [None, 1 * HOURS, 10**400])
def test_work_that_is_done_in_time_is_answered(asked_ms: int | None) -> None:
    assert run(Deadlines(60, 3600), asked_ms, quick) == "done"


@pytest.mark.parametrize("asked_ms", [None, 1 * HOURS, 10**400])
def test_work_that_takes_longer_than_the_server_allows_is_given_up(asked_ms: int | None) -> None:
    with pytest.raises(DeadlineExceededProblem, match=r"in 0\.01 s: send a smaller picture"):
        run(Deadlines(0.01, 0.01), asked_ms, endless)


def test_the_client_may_allow_more_time_than_is_usual() -> None:
    async def slow() -> str:
        await asyncio.sleep(0.05)
        return "done"

    assert run(Deadlines(0.01, 3600), 1 * HOURS, slow) == "done"
    with pytest.raises(DeadlineExceededProblem, match=r"in 0\.01 s: allow more by X-Deadline-Ms"):
        run(Deadlines(0.01, 3600), None, slow)


def test_the_client_may_allow_less_time_than_the_server() -> None:
    with pytest.raises(DeadlineExceededProblem, match=r"in 0\.02 s: allow more by X-Deadline-Ms"):
        run(Deadlines(60, 3600), 20, endless)


def test_work_past_its_deadline_is_cancelled() -> None:
    log = []

    async def work() -> None:
        try:
            await endless()
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    with pytest.raises(DeadlineExceededProblem):
        run(Deadlines(0.01, 0.01), None, work)
    assert log == ["cancelled"]


def test_a_timeout_of_another_kind_is_passed_on() -> None:
    async def work() -> None:
        raise TimeoutError("the store did not answer")

    with pytest.raises(TimeoutError, match="the store"):
        run(Deadlines(3600, 3600), None, work)


# Requests


def assert_exceeded(response: httpx.Response) -> None:
    assert response.status_code == 504
    assert response.json()["type"] == "urn:impasto:problem:deadline-exceeded"


def test_a_picture_queued_past_its_deadline_is_answered_504_and_never_computed(gated_store: GatedStore) -> None:
    with serve(Settings(device="cpu"), gated_store) as url, ThreadPoolExecutor(1) as thread:
        first = thread.submit(stylize, url, plain_png(1))
        assert gated_store.gate.entered.wait(30)
        assert_exceeded(stylize(url, plain_png(2), **{"X-Deadline-Ms": "50"}))
        httpx.get(f"{url}/livez").raise_for_status()  # meanwhile the event loop takes the picture off the queue
        gated_store.gate.opened.set()
        assert first.result().status_code == 200
        assert stylize(url, plain_png(3)).status_code == 200
    assert gated_store.gate.seen == [1, 3]


def test_a_large_picture_ends_at_its_next_piece_when_its_deadline_passes() -> None:
    store = EndlessStore()
    with serve(Settings(device="cpu"), store) as url:
        assert_exceeded(stylize(url, plain_png(1), **{"X-Deadline-Ms": "1000"}))
        assert store.net.stopped.wait(30)


def test_a_request_past_its_deadline_frees_its_place(gated_store: GatedStore) -> None:
    with serve(Settings(device="cpu", max_in_flight=1), gated_store) as url:
        for red in range(3):
            assert_exceeded(stylize(url, plain_png(red), **{"X-Deadline-Ms": "50"}))
        gated_store.gate.opened.set()


def test_the_server_has_a_deadline_of_its_own(gated_store: GatedStore) -> None:
    with serve(Settings(device="cpu", deadline_s=0.05, max_deadline_s=0.05), gated_store) as url:
        for headers in ({}, {"X-Deadline-Ms": str(1 * HOURS)}):
            assert_exceeded(stylize(url, plain_png(1), **headers))
        gated_store.gate.opened.set()


def test_the_deadline_holds_while_a_model_is_loaded(slow_store: SlowStore, photo_png: bytes) -> None:
    with serve(Settings(device="cpu"), slow_store) as url:
        assert_exceeded(stylize(url, photo_png, **{"X-Deadline-Ms": "50"}))
        slow_store.opened.set()


def test_the_deadline_holds_while_the_upload_is_read(server: str) -> None:
    address = httpx.URL(server)

    async def stall() -> bytes:
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(b"POST /stylize?style=muse HTTP/1.1\r\nHost: impasto\r\nContent-Length: 1000\r\n")
        writer.write(b"Content-Type: image/png\r\nX-Deadline-Ms: 50\r\n\r\nonly the beginning")
        status_line = await reader.readline()
        writer.close()
        return status_line

    assert asyncio.run(stall()).startswith(b"HTTP/1.1 504 ")


@pytest.mark.parametrize(
    ("path", "size", "advice"),
    [
        ("/stylize?style=muse", (5000, 5000), r"add size=\d+"),
        ("/super-resolve", (3000, 2000), r"send a picture of at most [\d,]+ pixels"),
    ],
)
def test_a_picture_that_cannot_be_made_in_time_is_refused_at_once(
    path: str, size: tuple[int, int], advice: str
) -> None:
    large = encoded(Image.new("1", size))
    with serve(Settings(device="cpu"), Store(BUNDLED)) as url:
        response = httpx.post(url + path, content=large, headers={"X-Deadline-Ms": "15000"}, timeout=60)
    assert response.status_code == 413
    foreseen = r"the picture takes about \d+ s here, and 15 s are allowed: allow more by X-Deadline-Ms, "
    assert re.fullmatch(foreseen + advice, response.json()["detail"])


def test_a_deadline_does_not_change_an_answer_in_time(http: httpx.Client, photo_png: bytes) -> None:
    hurried, calm = (
        http.post("/stylize?style=muse", content=photo_png, headers=headers)
        for headers in ({"X-Deadline-Ms": str(1 * HOURS)}, {})
    )
    assert hurried.content == calm.content


@pytest.mark.parametrize("rubbish", ["0", "-5", "soon", "", "1.5", "1e3", "nan"])
@pytest.mark.parametrize("path", ["/stylize?style=muse", "/super-resolve"])
def test_a_deadline_that_is_no_positive_number_of_milliseconds_is_refused(
    http: httpx.Client, photo_png: bytes, path: str, rubbish: str
) -> None:
    response = http.post(path, content=photo_png, headers={"X-Deadline-Ms": rubbish})
    assert response.status_code == 422
    assert response.json()["type"] == "urn:impasto:problem:bad-option"
    assert "X-Deadline-Ms" in response.json()["detail"]


def test_the_deadline_is_documented(http: httpx.Client) -> None:
    for path in ("/stylize", "/super-resolve"):
        operation = http.get("/openapi.json").json()["paths"][path]["post"]
        described = {parameter["name"]: parameter for parameter in operation["parameters"]}
        assert described["X-Deadline-Ms"]["in"] == "header"
        assert not described["X-Deadline-Ms"]["required"]
        assert "Deadline exceeded" in operation["responses"]["504"]["description"]


def test_the_client_sets_a_deadline(gated_store: GatedStore) -> None:
    with serve(Settings(device="cpu"), gated_store) as url, Client(url, deadline=0.05, retries=0) as client:
        with pytest.raises(DeadlineExceeded, match="smaller picture"):
            client.stylize(plain_png(1), style="muse")
        gated_store.gate.opened.set()
