"""HTTP beyond the pictures: ETags, equal requests, caches, HEAD, OPTIONS, other origins and 100-continue."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pytest

from model_store.card import Card
from model_store.store import BUNDLED, Store
from service.server.settings import Settings

Publish = Callable[..., Card]
Serve = Callable[[Settings, Store], AbstractContextManager[str]]
PlainPng = Callable[..., bytes]
Stylize = Callable[..., httpx.Response]
Until = Callable[[Callable[[], bool]], bool]
Metric = Callable[[str, str], float]


# ETags


def test_a_client_that_has_the_picture_is_answered_304_without_computing(
    serve: Serve, gated_store: Any, plain_png: PlainPng, stylize: Stylize
) -> None:
    gated_store.gate.opened.set()
    with serve(Settings(device="cpu"), gated_store) as url:
        first = stylize(url, plain_png(1))
        again = stylize(url, plain_png(1), **{"If-None-Match": f'"other", {first.headers["ETag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert again.headers["X-Model"] == "muse@1"
    assert gated_store.gate.seen == [1]


@pytest.mark.parametrize("known", ['"something-else"', "*", "nonsense"])
def test_a_client_that_sends_another_etag_gets_the_picture(http: httpx.Client, photo_png: bytes, known: str) -> None:
    response = http.post("/stylize?style=muse", content=photo_png, headers={"If-None-Match": known})
    assert response.status_code == 200
    assert response.content


def test_an_etag_tells_options_apart_by_what_they_mean(http: httpx.Client, photo_png: bytes) -> None:
    def etag(query: str) -> str:
        return http.post(f"/stylize?{query}", content=photo_png).headers["ETag"]

    assert etag("style=muse") == etag("style=muse@1&quality=090&format=auto") == etag("style=muse:2")
    assert etag("style=muse:1,candy:1") == etag("style=candy:0.5,muse:0.5")
    assert (
        len({etag("style=muse"), etag("style=candy"), etag("style=muse&quality=80"), etag("style=muse:1,candy:1")}) == 4
    )


def test_only_the_client_may_keep_a_picture_and_asks_before_each_use(http: httpx.Client, photo_png: bytes) -> None:
    assert http.post("/stylize?style=muse", content=photo_png).headers["Cache-Control"] == "private, no-cache"


# Equal requests at the same time


def test_equal_requests_are_computed_once_and_each_is_answered(
    serve: Serve, gated_store: Any, plain_png: PlainPng, stylize: Stylize, until: Until, metric: Metric
) -> None:
    with serve(Settings(device="cpu"), gated_store) as url, ThreadPoolExecutor(3) as threads:
        answers = [threads.submit(stylize, url, plain_png(1)) for _ in range(3)]
        assert until(lambda: metric(url, "impasto_requests_coalesced_total") == 2)
        places = metric(url, "impasto_requests_in_flight")
        gated_store.gate.opened.set()
        responses = [answer.result() for answer in answers]
        made = metric(url, "impasto_pictures_total")
    assert gated_store.gate.seen == [1]
    assert places == 3
    assert made == 1
    assert [response.status_code for response in responses] == [200] * 3
    assert len({response.content for response in responses}) == 1
    assert len({response.headers["X-Request-ID"] for response in responses}) == 3


@pytest.fixture
def deadlines(monkeypatch: pytest.MonkeyPatch) -> list[tuple[asyncio.AbstractEventLoop, asyncio.Timeout]]:
    """Return the deadlines of requests, in the order in which these come, each with the event loop that keeps it."""
    kept: list[tuple[asyncio.AbstractEventLoop, asyncio.Timeout]] = []
    timeout = asyncio.timeout

    def keep(seconds: float | None) -> asyncio.Timeout:
        kept.append((asyncio.get_running_loop(), timeout(seconds)))
        return kept[-1][1]

    monkeypatch.setattr(asyncio, "timeout", keep)
    return kept


def test_the_others_are_answered_when_the_first_request_runs_out_of_time(
    serve: Serve,
    gated_store: Any,
    plain_png: PlainPng,
    stylize: Stylize,
    until: Until,
    metric: Metric,
    deadlines: list[tuple[asyncio.AbstractEventLoop, asyncio.Timeout]],
) -> None:
    with serve(Settings(device="cpu"), gated_store) as url, ThreadPoolExecutor(2) as threads:
        hurried = threads.submit(stylize, url, plain_png(1))
        assert gated_store.gate.entered.wait(30)
        loop, deadline = deadlines[0]
        patient = threads.submit(stylize, url, plain_png(1))
        assert until(lambda: metric(url, "impasto_requests_coalesced_total") == 1)
        loop.call_soon_threadsafe(deadline.reschedule, loop.time())
        assert hurried.result().status_code == 504
        gated_store.gate.opened.set()
        assert patient.result().status_code == 200
    assert gated_store.gate.seen == [1]


# Caches


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/models", "no-cache"),
        ("/models/stylize/muse", "no-cache"),
        ("/models/stylize/muse@1", "max-age=31536000, immutable"),
        ("/models/stylize/muse/preview", "no-cache"),
        ("/models/stylize/muse@1/preview", "max-age=31536000, immutable"),
    ],
)
def test_answers_about_models_may_be_kept_with_their_etag(http: httpx.Client, path: str, kept: str) -> None:
    first = http.get(path)
    again = http.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert first.headers["Cache-Control"] == again.headers["Cache-Control"] == kept
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert http.get(path, headers={"If-None-Match": '"other"'}).content == first.content


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/nowhere", "/models/stylize/nope", "/stylize"])
def test_health_metrics_and_problems_are_not_kept(http: httpx.Client, path: str) -> None:
    response = http.get(path)
    assert response.headers["Cache-Control"] == "no-store"
    assert "ETag" not in response.headers


# HEAD and OPTIONS


@pytest.mark.parametrize("path", ["/models", "/models/stylize/muse@1/preview", "/livez", "/docs", "/openapi.json", "/"])
def test_head_is_answered_as_get_without_the_content(http: httpx.Client, path: str) -> None:
    head, get = http.head(path), http.get(path)
    assert head.status_code == get.status_code
    assert head.content == b""
    for name in ("Content-Type", "Content-Length", "ETag", "Cache-Control"):
        assert head.headers.get(name) == get.headers.get(name)


@pytest.mark.parametrize(("path", "allowed"), [("/stylize", "POST"), ("/models", "GET, HEAD")])
def test_options_is_answered_with_the_allowed_methods(http: httpx.Client, path: str, allowed: str) -> None:
    response = http.options(path)
    assert (response.status_code, response.headers["Allow"]) == (204, allowed)
    assert http.delete(path).headers["Allow"] == allowed


# Pages of other origins


@pytest.fixture(scope="module")
def for_pages(serve: Serve) -> Iterator[httpx.Client]:
    settings = Settings(device="cpu", cors_origins="https://gallery.example, http://localhost:3000")
    with serve(settings, Store(BUNDLED)) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def test_a_page_of_an_allowed_origin_can_call_and_read_the_headers(for_pages: httpx.Client, photo_png: bytes) -> None:
    origin = {"Origin": "https://gallery.example"}
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, if-none-match"}
    assert for_pages.options("/stylize", headers=origin | asks).status_code == 200
    answer = for_pages.post("/stylize?style=muse", content=photo_png, headers=origin)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://gallery.example"
    exposed = answer.headers["Access-Control-Expose-Headers"]
    assert {"X-Request-ID", "X-Model", "Server-Timing", "ETag", "Retry-After"} <= set(exposed.split(", "))
    refused = for_pages.post("/stylize", headers=origin)
    assert refused.status_code == 422
    assert refused.headers["Access-Control-Allow-Origin"] == "https://gallery.example"


def test_a_page_of_another_origin_cannot_call(for_pages: httpx.Client) -> None:
    answer = for_pages.get("/models", headers={"Origin": "https://elsewhere.example"})
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_without_the_setting_no_page_of_another_origin_can_call(http: httpx.Client) -> None:
    answer = http.get("/models", headers={"Origin": "https://gallery.example"})
    assert "Access-Control-Allow-Origin" not in answer.headers


# 100-continue


def ask_whether_to_send(url: str, length: int, *headers: str) -> socket.socket:
    """Send only the head of a request, and return the connection."""
    address = httpx.URL(url)
    connection = socket.create_connection((address.host, address.port), timeout=20)
    lines = [
        "POST /stylize?style=muse HTTP/1.1",
        "Host: impasto",
        "Content-Type: image/png",
        f"Content-Length: {length}",
        "Expect: 100-continue",
        *headers,
    ]
    connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    return connection


def test_a_client_that_asks_whether_to_send_is_told_to_go_on(server: str, photo_png: bytes) -> None:
    with ask_whether_to_send(server, len(photo_png)) as connection:
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(photo_png)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_asks_whether_to_send_is_refused_and_its_connection_closed(
    serve: Serve, gated_store: Any, plain_png: PlainPng, stylize: Stylize
) -> None:
    with serve(Settings(device="cpu", max_in_flight=1), gated_store) as url, ThreadPoolExecutor(1) as thread:
        first = thread.submit(stylize, url, plain_png(1))
        assert gated_store.gate.entered.wait(30)
        with ask_whether_to_send(url, 1000) as connection:
            answer = connection.recv(65536)
        gated_store.gate.opened.set()
        assert first.result().status_code == 200
    assert answer.startswith(b"HTTP/1.1 429 ")
    assert b"connection: close" in answer.lower()
