"""What a client may send on a WebSocket without ending a message, and how it is refused."""

import json
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from model_store.store import BUNDLED, Store
from service.server.routes.live import MOST_FRAME_BYTES
from service.server.settings import Settings

from ...serving import serve, until
from .raw import connect, head, is_open, refusal_on

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": 13, "Sec_WebSocket_Key": KEY}
BINARY, CONTINUATION, TEXT, CLOSE = 2, 0, 1, 8


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Yield the address of a server that holds few bytes of frames that have not ended."""
    settings = Settings(device="cpu", max_upload_bytes_in_flight=1_500_000, upload_timeout_s=5)
    with serve(settings, Store(BUNDLED)) as address:
        yield address


def opened(url: str) -> socket.socket:
    """Open a live connection."""
    connection = connect(url, head("GET", "/stylize/live?style=muse", **UPGRADE))
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += connection.recv(1)
    assert b" 101 " in answer
    return connection


def beginning(opcode: int, size: int, *, is_final: bool = True) -> bytes:
    """Return the beginning of a frame that announces a size, masked by zeros."""
    return struct.pack("!BBQ", opcode | 128 * is_final, 128 | 127, size) + bytes(4)


def frame_on(connection: socket.socket) -> tuple[int, bytes]:
    """Read a frame, and return its opcode and its content."""
    first, size = connection.recv(2)
    if size == 126:
        size = int.from_bytes(connection.recv(2, socket.MSG_WAITALL))
    return first & 15, connection.recv(size, socket.MSG_WAITALL)


def problem_on(connection: socket.socket) -> tuple[dict[str, object], int]:
    """Read the problem document and the close that follows it, and return the document and the code."""
    kind, text = frame_on(connection)
    assert kind == TEXT
    kind, close = frame_on(connection)
    assert kind == CLOSE
    return json.loads(text)["problem"], int.from_bytes(close[:2])


@pytest.mark.parametrize(
    ("changed", "status", "said"),
    [
        ({"Sec_WebSocket_Key": "short"}, 400, "Sec-WebSocket-Key"),
        ({"Sec_WebSocket_Version": 12}, 400, "Sec-WebSocket-Version"),
    ],
)
def test_a_handshake_that_cannot_be_read_is_answered_by_a_problem(
    url: str, changed: dict[str, object], status: int, said: str
) -> None:
    with connect(url, head("GET", "/stylize/live", **UPGRADE | changed)) as connection:
        refused = refusal_on(connection)
    assert refused.status == refused.document["status"] == status
    assert said in refused.document["detail"]
    assert refused.headers["x-request-id"] == refused.document["request_id"]


def test_a_handshake_where_there_is_no_websocket_is_answered_by_a_problem(url: str) -> None:
    with connect(url, head("GET", "/nowhere", **UPGRADE)) as connection:
        assert refusal_on(connection).status == 403


def test_a_frame_that_announces_too_much_is_refused_before_it_comes_and_may_be_sent_on(url: str) -> None:
    with opened(url) as connection:
        connection.sendall(beginning(BINARY, 3 * MOST_FRAME_BYTES))
        connection.sendall(bytes(3 * MOST_FRAME_BYTES))
        problem, code = problem_on(connection)
    assert (problem["status"], code) == (413, 4413)
    assert f"{MOST_FRAME_BYTES:,}" in str(problem["detail"])


def test_a_message_in_very_many_frames_is_refused(url: str) -> None:
    with opened(url) as connection:
        empty = beginning(CONTINUATION, 0, is_final=False)
        connection.sendall(beginning(BINARY, 0, is_final=False) + 2000 * empty)
        _, code = problem_on(connection)
    assert code == 4413


def test_frames_that_do_not_end_give_way_where_they_are_too_many_together(url: str) -> None:
    with ExitStack() as connections:
        first, second = (connections.enter_context(opened(url)) for _ in range(2))
        first.sendall(beginning(BINARY, 1_200_000) + os.urandom(1_100_000))
        second.sendall(beginning(BINARY, 1_200_000) + os.urandom(300_000))
        assert is_open(first)
        assert is_open(second)
        second.sendall(os.urandom(300_000))
        assert until(lambda: not is_open(first))
        problem, code = problem_on(first)
        assert is_open(second)
    assert (problem["status"], code) == (429, 4429)
    assert "had the most for the longest" in str(problem["detail"])
