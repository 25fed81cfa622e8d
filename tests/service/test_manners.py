"""ETags, equal requests, caches, HEAD and OPTIONS, pages of other origins, 100-continue, and several pictures at once."""

import email
import email.policy
import io
import json
import socket
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pytest
from PIL import Image

from model_store.card import Card
from model_store.store import BUNDLED, Store
from service.settings import Settings

Publish = Callable[..., Card]
Serve = Callable[[Settings, Store], AbstractContextManager[str]]
PlainPng = Callable[..., bytes]


def until(is_so: Callable[[], bool]) -> bool:
    """Asks again and again, for 20 seconds at most; whether it became so."""
    deadline = time.monotonic() + 20
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.01)
    return is_so()


def stylize(url: str, picture: bytes, **headers: str) -> httpx.Response:
    return httpx.post(f"{url}/stylize?style=muse", content=picture, headers=headers, timeout=60)


def metric(url: str, name: str) -> float:
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def in_flight(url: str) -> float:
    return metric(url, "impasto_requests_in_flight")


# ETags


def test_who_has_the_picture_already_is_told_so_without_computing(
    serve: Serve, gated_store: Any, plain_png: PlainPng
) -> None:
    gated_store.gate.opened.set()
    with serve(Settings(device="cpu"), gated_store) as url:
        first = stylize(url, plain_png(1))
        again = stylize(url, plain_png(1), **{"If-None-Match": f'"other", W/{first.headers["ETag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert again.headers["X-Model"] == "muse@1"
    assert gated_store.gate.seen == [1]


@pytest.mark.parametrize("known", ['"something-else"', "*", "nonsense"])
def test_who_has_something_else_gets_the_picture(http: httpx.Client, photo_png: bytes, known: str) -> None:
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


def test_pictures_are_for_the_client_only_and_asked_for_again(http: httpx.Client, photo_png: bytes) -> None:
    assert http.post("/stylize?style=muse", content=photo_png).headers["Cache-Control"] == "private, no-cache"


# Equal requests at the same time


def test_equal_requests_are_computed_once_and_each_is_answered(
    serve: Serve, gated_store: Any, plain_png: PlainPng
) -> None:
    with serve(Settings(device="cpu"), gated_store) as url, ThreadPoolExecutor(3) as threads:
        answers = [threads.submit(stylize, url, plain_png(1)) for _ in range(3)]
        assert until(lambda: metric(url, "impasto_requests_coalesced_total") == 2)
        places = in_flight(url)
        gated_store.gate.opened.set()
        responses = [answer.result() for answer in answers]
        made = metric(url, "impasto_pictures_total")
    assert gated_store.gate.seen == [1]
    assert places == 3
    assert made == 1
    assert [response.status_code for response in responses] == [200] * 3
    assert len({response.content for response in responses}) == 1
    assert len({response.headers["X-Request-ID"] for response in responses}) == 3


def test_the_others_are_answered_when_who_began_runs_out_of_time(
    serve: Serve, gated_store: Any, plain_png: PlainPng
) -> None:
    with serve(Settings(device="cpu"), gated_store) as url, ThreadPoolExecutor(2) as threads:
        hurried = threads.submit(stylize, url, plain_png(1), **{"X-Deadline-Ms": "2000"})
        assert gated_store.gate.entered.wait(30)
        patient = threads.submit(stylize, url, plain_png(1))
        assert until(lambda: metric(url, "impasto_requests_coalesced_total") == 1)
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
def test_what_is_told_of_models_may_be_kept_by_its_etag(http: httpx.Client, path: str, kept: str) -> None:
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
def test_options_tells_the_methods_there_are(http: httpx.Client, path: str, allowed: str) -> None:
    response = http.options(path)
    assert (response.status_code, response.headers["Allow"]) == (204, allowed)
    assert http.delete(path).headers["Allow"] == allowed


# Pages of other origins


@pytest.fixture(scope="module")
def for_pages(serve: Serve) -> Iterator[httpx.Client]:
    settings = Settings(device="cpu", cors_origins="https://gallery.example, http://localhost:3000")
    with serve(settings, Store(BUNDLED)) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def test_a_page_of_an_origin_that_may_can_call_and_read_the_headers(for_pages: httpx.Client, photo_png: bytes) -> None:
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


def test_a_page_of_another_origin_cannot(for_pages: httpx.Client) -> None:
    answer = for_pages.get("/models", headers={"Origin": "https://elsewhere.example"})
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_without_the_setting_no_page_can(http: httpx.Client) -> None:
    answer = http.get("/models", headers={"Origin": "https://gallery.example"})
    assert "Access-Control-Allow-Origin" not in answer.headers


# 100-continue


def ask_whether_to_send(url: str, length: int, *headers: str) -> socket.socket:
    """Sends the head of a request only."""
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


def test_who_asks_whether_to_send_is_told_to_go_on(server: str, photo_png: bytes) -> None:
    with ask_whether_to_send(server, len(photo_png)) as connection:
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(photo_png)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_who_asks_whether_to_send_is_refused_before_sending_and_let_go(
    serve: Serve, gated_store: Any, plain_png: PlainPng
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


# Several pictures


def post_all(client: httpx.Client, pictures: list[tuple[str, bytes]], **headers: str) -> httpx.Response:
    files = [("image", (name, data, "image/png")) for name, data in pictures]
    return client.post("/stylize?style=muse", files=files, headers=headers)


def files_in(response: httpx.Response) -> dict[str, bytes]:
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_several_pictures_are_answered_with_a_zip(http: httpx.Client, photo_png: bytes, plain_png: PlainPng) -> None:
    response = post_all(http, [("cat.png", photo_png), ("dog.png", plain_png(9)), ("cat.png", plain_png(8))])
    files = files_in(response)
    assert list(files) == ["cat.png", "dog.png", "cat-2.png"]
    assert files["cat.png"] == http.post("/stylize?style=muse", content=photo_png).content
    assert Image.open(io.BytesIO(files["cat-2.png"])).size == (20, 16)
    assert response.headers["X-Model"] == "muse@1"
    assert "net;dur=" in response.headers["Server-Timing"]


def test_several_pictures_are_answered_in_parts_where_that_is_asked_for(
    http: httpx.Client, photo_png: bytes, plain_png: PlainPng
) -> None:
    response = post_all(http, [("cat.png", photo_png), ("dog.png", plain_png(9))], Accept="multipart/mixed")
    head = f"Content-Type: {response.headers['Content-Type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + response.content, policy=email.policy.HTTP)
    parts = list(message.iter_parts())
    assert [part.get_filename() for part in parts] == ["cat.png", "dog.png"]
    alone = http.post("/stylize?style=muse", content=photo_png)
    assert parts[0].get_payload(decode=True) == alone.content
    assert parts[0]["ETag"] == alone.headers["ETag"]


def test_a_bad_picture_does_not_lose_the_others(http: httpx.Client, photo_png: bytes) -> None:
    response = post_all(http, [("good.png", photo_png), ("bad.png", b"not a picture"), ("empty.png", b"")])
    files = files_in(response)
    assert list(files) == ["good.png", "bad.problem.json", "empty.problem.json"]
    document = json.loads(files["bad.problem.json"])
    assert (document["status"], document["type"]) == (415, "urn:impasto:problem:unsupported-format")
    assert document["request_id"] == response.headers["X-Request-ID"]
    assert "ETag" not in response.headers


def test_who_has_all_of_the_pictures_is_told_so(http: httpx.Client, photo_png: bytes, plain_png: PlainPng) -> None:
    pictures = [("cat.png", photo_png), ("dog.png", plain_png(9))]
    known = post_all(http, pictures).headers["ETag"]
    assert post_all(http, pictures, **{"If-None-Match": known}).status_code == 304
    assert post_all(http, pictures[::-1], **{"If-None-Match": known}).status_code == 200


def test_an_unknown_style_refuses_all_of_them(http: httpx.Client, photo_png: bytes) -> None:
    response = http.post("/stylize?style=nope", files=[("image", ("a", photo_png)), ("image", ("b", photo_png))])
    assert response.status_code == 404


def test_each_picture_holds_a_place(serve: Serve, gated_store: Any, plain_png: PlainPng) -> None:
    with (
        serve(Settings(device="cpu", max_in_flight=3), gated_store) as url,
        httpx.Client(base_url=url, timeout=60) as client,
        ThreadPoolExecutor(1) as thread,
    ):
        answer = thread.submit(post_all, client, [(f"{red}.png", plain_png(red)) for red in range(3)])
        assert until(lambda: in_flight(url) == 3)
        refused = stylize(url, plain_png(9))
        gated_store.gate.opened.set()
        assert len(files_in(answer.result())) == 3
    assert refused.status_code == 429


@pytest.mark.parametrize("scarce", [{"max_in_flight": 1}, {"max_pixels_in_flight": 1}])
def test_pictures_that_find_no_room_wait_for_the_rest_of_their_request(
    serve: Serve, gated_store: Any, plain_png: PlainPng, scarce: dict[str, int]
) -> None:
    gated_store.gate.opened.set()
    with serve(Settings(device="cpu", **scarce), gated_store) as url, httpx.Client(base_url=url, timeout=60) as client:
        files = files_in(post_all(client, [(f"{red}.png", plain_png(red)) for red in range(4)]))
    assert list(files) == [f"{red}.png" for red in range(4)]
    assert sorted(gated_store.gate.seen) == [0, 1, 2, 3]


# API keys


@pytest.fixture(scope="module")
def keys_and_entries() -> list[tuple[str, str]]:
    from service import keys

    return [keys.make("shop", concurrency=1), keys.make("blog")]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture(scope="module")
def guarded(serve: Serve, keys_and_entries: list[tuple[str, str]]) -> Iterator[httpx.Client]:
    """A server with two keys."""
    settings = Settings(device="cpu", api_keys=",".join(entry for _, entry in keys_and_entries))
    with serve(settings, Store(BUNDLED)) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


GUARDED = [("POST", "/stylize?style=muse"), ("POST", "/stylize"), ("POST", "/super-resolve"), ("GET", "/models")]
GUARDED += [("HEAD", "/models"), ("GET", "/models/stylize/muse"), ("GET", "/metrics")]


@pytest.mark.parametrize(("method", "path"), GUARDED)
@pytest.mark.parametrize("sent", [None, "Bearer wrong", "Bearer ", "Basic c2hvcDpzaG9w", "nonsense"])
def test_nobody_is_served_without_a_key(guarded: httpx.Client, method: str, path: str, sent: str | None) -> None:
    response = guarded.request(method, path, headers={} if sent is None else {"Authorization": sent})
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    if method != "HEAD":
        assert response.json()["type"] == "urn:impasto:problem:unauthorized"


def test_who_has_a_key_is_served(
    guarded: httpx.Client, keys_and_entries: list[tuple[str, str]], photo_png: bytes
) -> None:
    for key, _ in keys_and_entries:
        assert guarded.get("/models", headers=bearer(key)).status_code == 200
        painted = guarded.post("/stylize?style=muse", content=photo_png, headers=bearer(key))
        assert painted.status_code == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/docs", "/openapi.json", "/models/stylize/muse/preview"])
def test_health_documentation_and_previews_are_for_everybody(guarded: httpx.Client, path: str) -> None:
    assert guarded.get(path).status_code == 200


def test_metrics_count_requests_by_the_name_of_the_key(
    guarded: httpx.Client, keys_and_entries: list[tuple[str, str]]
) -> None:
    key, _ = keys_and_entries[1]
    guarded.get("/models", headers=bearer(key))
    shown = guarded.get("/metrics", headers=bearer(key)).text
    assert 'impasto_key_requests_total{key="blog",status="200"}' in shown
    assert key not in shown


def test_who_has_no_key_is_refused_before_sending(guarded: httpx.Client) -> None:
    with ask_whether_to_send(str(guarded.base_url), 1000) as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")


def test_a_key_has_only_as_many_requests_in_flight_as_it_may(
    serve: Serve, gated_store: Any, plain_png: PlainPng, keys_and_entries: list[tuple[str, str]]
) -> None:
    (capped, _), (other, _) = keys_and_entries
    settings = Settings(device="cpu", api_keys=",".join(entry for _, entry in keys_and_entries))
    with serve(settings, gated_store) as url, ThreadPoolExecutor(2) as threads:
        first = threads.submit(stylize, url, plain_png(1), **bearer(capped))
        assert gated_store.gate.entered.wait(30)
        refused = stylize(url, plain_png(2), **bearer(capped))
        of_another = threads.submit(stylize, url, plain_png(3), **bearer(other))
        gated_store.gate.opened.set()
        assert (first.result().status_code, of_another.result().status_code) == (200, 200)
    assert refused.status_code == 429
    assert "'shop'" in refused.json()["detail"]
    assert int(refused.headers["Retry-After"]) >= 1
