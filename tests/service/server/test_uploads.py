"""Clients that never finish, disconnect, send on after the answer or read slowly, over real sockets."""

import json
import select
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPResponse
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from model_store.store import BUNDLED, Store
from service.server.settings import Settings

from ...picture_files import encoded, plain_png
from ..serving import has_a_place, metric, serve, stylize, until
from ..stores import GatedStore, SlowStore

MIB = 1024**2


def post(url: str, body: bytes, length: int) -> socket.socket:
    """Send a request, leave the answer unread, and return the connection."""
    address = httpx.URL(url)
    connection = socket.create_connection((address.host, address.port), timeout=20)
    head = f"POST /stylize?style=muse HTTP/1.1\r\nHost: impasto\r\nContent-Type: image/png\r\nContent-Length: {length}"
    connection.sendall(head.encode() + b"\r\n\r\n" + body)
    return connection


def answer_on(connection: socket.socket) -> tuple[int, dict[str, str], Any]:
    """Return the status, the headers and the problem document of an answer."""
    answer = HTTPResponse(connection)
    answer.begin()
    return answer.status, dict(answer.getheaders()), json.loads(answer.read())


# Uploads that do not end


def test_an_upload_that_does_not_end_is_refused_in_time() -> None:
    hurried = Settings(device="cpu", upload_timeout_s=0.2)
    with serve(hurried, Store(BUNDLED)) as url, post(url, b"only the beginning", length=1000) as connection:
        status, _, document = answer_on(connection)
    assert status == 408
    assert document["type"] == "urn:impasto:problem:upload-timeout"


def test_an_upload_that_trickles_is_refused_long_before_its_time_is_over() -> None:
    patient = Settings(device="cpu", upload_timeout_s=3)
    began = time.monotonic()
    with serve(patient, Store(BUNDLED)) as url, post(url, b"only the beginning", length=1000) as connection:
        while not has_answer(connection):
            connection.sendall(b"x")
            time.sleep(0.05)
        status, _, document = answer_on(connection)
    assert status == 408
    assert "8,192 bytes in 1 s" in document["detail"]
    assert time.monotonic() - began < 2.5


def test_an_upload_that_does_not_end_holds_no_place(photo_png: bytes) -> None:
    one_place = Settings(device="cpu", max_in_flight=1)
    with serve(one_place, Store(BUNDLED)) as url, ExitStack() as open_uploads:
        for _ in range(4):
            open_uploads.enter_context(post(url, photo_png[:100], len(photo_png)))
        answer = stylize(url, photo_png)
    assert answer.status_code == 200


def test_unfinished_uploads_give_way_where_their_memory_is_needed(photo_png: bytes) -> None:
    little_memory = Settings(device="cpu", max_upload_bytes_in_flight=MIB)
    with serve(little_memory, Store(BUNDLED)) as url, post(url, bytes(MIB), length=2 * MIB) as connection:
        assert until(lambda: stylize(url, photo_png).status_code == 200 and has_answer(connection))
        status, headers, document = answer_on(connection)
    assert (status, headers["retry-after"]) == (429, "1")
    assert "had the most for the longest" in document["detail"]


def has_answer(connection: socket.socket) -> bool:
    """Tell whether something came on a connection."""
    return bool(select.select([connection], [], [], 0)[0])


# Clients that disconnect


def test_a_client_that_disconnects_while_it_waits_for_a_model_frees_its_place(
    slow_store: SlowStore, photo_png: bytes
) -> None:
    with serve(Settings(device="cpu", max_in_flight=1), slow_store) as url:
        with post(url, photo_png, len(photo_png)):
            assert slow_store.entered.wait(30)
            place_while_waiting = has_a_place(url)
        assert until(lambda: has_a_place(url))
        slow_store.opened.set()
    assert not place_while_waiting


def test_a_queued_picture_whose_client_disconnects_is_never_computed_and_frees_its_pixels(
    gated_store: GatedStore,
) -> None:
    room_for_two = Settings(device="cpu", max_pixels_in_flight=4 * 20 * 16)
    with serve(room_for_two, gated_store) as url, ThreadPoolExecutor(2) as threads:
        first = threads.submit(stylize, url, plain_png(1))
        assert gated_store.gate.entered.wait(30)
        queued = plain_png(2)
        with post(url, queued, len(queued)):
            assert until(lambda: stylize_with_little_time(url, plain_png(3)) == 429)
        assert until(lambda: metric(url, "impasto_requests_in_flight") == 1)
        assert stylize_with_little_time(url, plain_png(4)) == 504
        httpx.get(f"{url}/livez").raise_for_status()  # meanwhile the event loop takes the picture off the queue
        gated_store.gate.opened.set()
        assert first.result().status_code == 200
        assert stylize(url, plain_png(5)).status_code == 200
    assert gated_store.gate.seen == [1, 5]


def stylize_with_little_time(url: str, picture: bytes) -> int:
    """Return 429 if there is no room for the picture, and 504 if there is and it has to wait too long."""
    headers = {"X-Deadline-Ms": "100"}
    return httpx.post(f"{url}/stylize?style=muse", content=picture, headers=headers).status_code


# Answers before the end of the upload


def test_a_client_refused_while_it_sends_is_answered_at_once_and_may_send_on(gated_store: GatedStore) -> None:
    with serve(Settings(device="cpu", max_in_flight=1), gated_store) as url, ThreadPoolExecutor(1) as thread:
        first = thread.submit(stylize, url, plain_png(1))
        assert gated_store.gate.entered.wait(30)
        with post(url, bytes(MIB), length=20 * MIB) as connection:
            status, headers, document = answer_on(connection)
            connection.sendall(bytes(19 * MIB))
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: impasto\r\n\r\n")
            next_status, _, _ = answer_on(connection)
        gated_store.gate.opened.set()
        assert first.result().status_code == 200
    assert (status, next_status) == (429, 200)
    assert headers["retry-after"] == "1"
    assert document["type"] == "urn:impasto:problem:busy"


def test_a_client_that_reads_after_sending_everything_gets_the_refusal(gated_store: GatedStore) -> None:
    with serve(Settings(device="cpu", max_in_flight=1), gated_store) as url, ThreadPoolExecutor(1) as thread:
        thread.submit(stylize, url, plain_png(1))
        assert gated_store.gate.entered.wait(30)
        of_known_length = stylize(url, bytes(20 * MIB))
        of_unknown_length = httpx.post(f"{url}/stylize?style=muse", content=(bytes(MIB) for _ in range(20)))
        gated_store.gate.opened.set()
    assert (of_known_length.status_code, of_unknown_length.status_code) == (429, 429)


@pytest.mark.parametrize("framing", ["Content-Length: 20000000", "Transfer-Encoding: chunked"])
def test_an_upload_without_end_is_cut_off_after_its_refusal(framing: str) -> None:
    hurried = Settings(device="cpu", max_upload_bytes=1000, upload_timeout_s=0.2)
    with serve(hurried, Store(BUNDLED)) as url:
        address = httpx.URL(url)
        with socket.create_connection((address.host, address.port), timeout=20) as connection:
            head = f"POST /stylize?style=muse HTTP/1.1\r\nHost: impasto\r\nContent-Type: image/png\r\n{framing}\r\n\r\n"
            connection.sendall(head.encode() + b"7d0\r\n" + bytes(2000) + b"\r\n")
            status, headers, _ = answer_on(connection)
            assert connection.recv(1) == b""
    assert (status, headers["connection"]) == (413, "close")


# Pixels in flight


def test_a_picture_with_too_many_pixels_in_flight_is_refused_until_there_is_room(gated_store: GatedStore) -> None:
    with serve(Settings(device="cpu", max_pixels_in_flight=1000), gated_store) as url, ThreadPoolExecutor(1) as thread:
        first = thread.submit(stylize, url, plain_png(1, 20, 20))
        assert gated_store.gate.entered.wait(30)
        refused = stylize(url, plain_png(2, 16, 16))
        gated_store.gate.opened.set()
        assert first.result().status_code == 200
        accepted = stylize(url, plain_png(3, 40, 40))
    assert refused.status_code == 429
    assert "800 pixels are in flight, and 512 more" in refused.json()["detail"]
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert accepted.status_code == 200


# Clients that read slowly


def test_a_client_that_does_not_read_its_answer_holds_no_place(gated_store: GatedStore) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1200, 3), dtype=np.uint8)
    picture = encoded(Image.fromarray(noise), compress_level=0)
    gated_store.gate.opened.set()
    one_place = Settings(device="cpu", max_in_flight=1)
    with serve(one_place, gated_store) as url, post(url, picture, len(picture)) as connection:
        connection.recv(1, socket.MSG_PEEK)
        places_free = has_a_place(url)
        answer = HTTPResponse(connection)
        answer.begin()
        read_late = answer.read()
    assert places_free
    assert len(read_late) > 4 * MIB
