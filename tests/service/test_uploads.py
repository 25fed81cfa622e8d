"""Clients that leave, or never end, over real sockets."""

import json
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from http.client import HTTPResponse
from typing import Any

import httpx

from model_store.store import BUNDLED, Store
from service.settings import Settings

Serve = Callable[[Settings, Store], AbstractContextManager[str]]


def post(url: str, body: bytes, length: int) -> socket.socket:
    """Sends a request and leaves the answer unread."""
    address = httpx.URL(url)
    connection = socket.create_connection((address.host, address.port), timeout=20)
    head = f"POST /stylize?style=muse HTTP/1.1\r\nHost: impasto\r\nContent-Type: image/png\r\nContent-Length: {length}"
    connection.sendall(head.encode() + b"\r\n\r\n" + body)
    return connection


def test_an_upload_that_does_not_end_is_refused_in_time(serve: Serve) -> None:
    hurried = Settings(device="cpu", upload_timeout_s=0.2)
    with serve(hurried, Store(BUNDLED)) as url, post(url, b"only the beginning", length=1000) as connection:
        answer = HTTPResponse(connection)
        answer.begin()
        document = json.loads(answer.read())
    assert answer.status == 408
    assert document["type"] == "urn:impasto:problem:upload-timeout"


def test_a_client_that_leaves_while_it_waits_frees_its_place(serve: Serve, slow_store: Any, photo_png: bytes) -> None:
    def try_a_place() -> int:
        return httpx.post(f"{url}/stylize?style=muse", content=b"", headers={"Content-Type": "text/plain"}).status_code

    with serve(Settings(device="cpu", max_in_flight=1), slow_store) as url:
        with post(url, photo_png, len(photo_png)):
            assert slow_store.entered.wait(30)
            while_waiting = try_a_place()
        deadline = time.monotonic() + 20
        while try_a_place() == 429 and time.monotonic() < deadline:
            time.sleep(0.01)
        after_leaving = try_a_place()
        slow_store.opened.set()
    assert (while_waiting, after_leaving) == (429, 415)
