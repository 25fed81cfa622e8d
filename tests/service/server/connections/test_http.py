"""What a client may send, hold and leave undone on a connection, and how it is told."""

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import httpx
import numpy as np
import pytest
from PIL import Image

from model_store.store import BUNDLED, Store
from service.server.settings import Settings

from ....picture_files import encoded
from ...serving import serve, stylize, until
from ...stores import GatedStore
from .raw import GET, connect, head, is_closed_within, is_open, refusal_on, status_on

MIB = 1024**2


@pytest.fixture(scope="module")
def hurried() -> Iterator[str]:
    """Yield the address of a server that allows little time and few bytes."""
    settings = Settings(
        device="cpu",
        header_timeout_s=0.3,
        max_header_bytes=4096,
        idle_timeout_s=1,
        max_upload_bytes=1000,
        upload_timeout_s=0.5,
    )
    with serve(settings, Store(BUNDLED)) as url:
        yield url


# Headers


def test_a_connection_on_which_nothing_comes_is_closed(hurried: str) -> None:
    with connect(hurried) as connection:
        assert is_closed_within(5, connection)


@pytest.mark.parametrize("first", [b"", GET], ids=["the first request", "a later request"])
def test_headers_that_do_not_end_are_refused_in_time(hurried: str, first: bytes) -> None:
    with connect(hurried, first) as connection:
        if first:
            assert status_on(connection) == 200
        connection.sendall(b"GET /livez HTTP/1.1\r\n")
        status, headers, document = refusal_on(connection)
        assert is_closed_within(5, connection)
    assert (status, headers["connection"]) == (408, "close")
    assert document["detail"] == "the headers took more than 0.3 s: send them at once"
    assert headers["x-request-id"] == document["request_id"]


def test_headers_that_trickle_are_refused_in_time(hurried: str) -> None:
    with connect(hurried, b"GET /livez HTTP/1.1\r\nX-Slow: ") as connection:
        began = time.monotonic()
        while is_open(connection) and time.monotonic() - began < 5:
            connection.sendall(b"a")
            time.sleep(0.05)
        assert refusal_on(connection).status == 408


def test_empty_lines_do_not_keep_a_connection_open(hurried: str) -> None:
    with connect(hurried, GET) as connection:
        assert status_on(connection) == 200
        began = time.monotonic()
        while is_open(connection) and time.monotonic() - began < 5:
            connection.sendall(b"\r\n")
            time.sleep(0.05)
        assert is_closed_within(1, connection)


@pytest.mark.parametrize(
    "beginning",
    [
        head("GET", "/livez", X_Long=5000 * "x"),
        head("GET", f"/livez?{5000 * 'x'}"),
        head("GET", "/livez", **{f"X_{number}": "x" for number in range(1000)}),
        head("GET", "/livez")[:-2] + b"X-Long: " + 10**6 * b"x",
        b"GET /" + 10**6 * b"x",
        head(Transfer_Encoding="chunked") + b"1\r\na\r\n0\r\nX-Trailer: " + 10**6 * b"x",
        head(Transfer_Encoding="chunked") + b"1;" + 10**6 * b"x",
    ],
    ids=["one", "path", "many", "one without end", "path without end", "trailer without end", "chunk without end"],
)
def test_headers_with_too_many_bytes_are_refused(hurried: str, beginning: bytes) -> None:
    with connect(hurried, beginning) as connection:
        status, _, document = refusal_on(connection)
    assert status == 431
    assert document["detail"] == "the headers have more than 4,096 bytes: send fewer or shorter ones"


def test_headers_within_the_limit_may_come_in_any_pieces(hurried: str) -> None:
    request = head("GET", "/livez", X_Long=3500 * "x")
    with connect(hurried) as connection:
        for each in (request[:1], request[1:2000], request[2000:]):
            connection.sendall(each)
            time.sleep(0.02)
        assert status_on(connection) == 200


# Requests that are not HTTP


@pytest.mark.parametrize("request_", [b"nonsense\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", head(Content_Length="many")])
def test_what_is_not_http_is_answered_by_a_problem(
    hurried: str, request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with connect(hurried, request_) as connection:
        status, headers, document = refusal_on(connection)
        assert is_closed_within(5, connection)
    assert (status, document["title"], headers["connection"]) == (400, "Bad Request", "close")
    (line,) = (record for record in caplog.records if record.message == "refused")
    assert line.fields == {"client": "127.0.0.1", "status": 400, "detail": document["detail"]}  # type: ignore[attr-defined]


def test_a_body_that_is_not_http_is_answered_by_a_problem(hurried: str) -> None:
    with connect(hurried, head(Transfer_Encoding="chunked") + b"nonsense\r\n") as connection:
        assert refusal_on(connection).status == 400


def test_nonsense_after_a_request_does_not_take_its_answer_away(hurried: str) -> None:
    with connect(hurried, GET + b"nonsense\r\n\r\n") as connection:
        assert status_on(connection) == 200
        assert is_closed_within(5, connection)


@pytest.mark.parametrize(("sent", "answered"), [(10, 10), (1000, 17)])
def test_of_requests_that_are_sent_at_once_the_first_are_answered(hurried: str, sent: int, answered: int) -> None:
    received = b""
    with connect(hurried, sent * GET) as connection:
        while chunk := connection.recv(MIB):
            received += chunk
    assert received.count(b"HTTP/1.1 200") == answered


# Early answers


@pytest.mark.parametrize("connection_header", ["close", "keep-alive"])
@pytest.mark.parametrize(
    ("path", "status"), [("/nowhere", 404), ("/stylize?style=muse&quality=900", 422), ("/stylize?style=muse", 413)]
)
def test_an_early_answer_reaches_a_client_that_sends_everything_first(
    path: str, status: int, connection_header: str
) -> None:
    small = Settings(device="cpu", max_upload_bytes=20 * MIB - 1)
    with serve(small, Store(BUNDLED)) as url:
        request = head(path=path, Connection=connection_header, Content_Length=20 * MIB, Content_Type="image/png")
        with connect(url, request) as connection:
            connection.sendall(bytes(20 * MIB - 1))
            answer = refusal_on(connection)
            assert answer.status == status


def test_a_client_that_sends_on_for_ever_after_an_early_answer_is_cut_off(hurried: str) -> None:
    with connect(hurried, head(path="/nowhere", Content_Length=10**9)) as connection:
        assert refusal_on(connection).status == 404
        assert until(lambda: not can_send(connection))


def can_send(connection: socket.socket) -> bool:
    """Send a byte, and tell whether the connection still takes it."""
    try:
        connection.sendall(b"x")
    except ConnectionError:
        return False
    return True


@pytest.mark.parametrize("connection_header", ["close", "keep-alive"])
def test_a_client_that_leaves_its_body_open_after_an_early_answer_is_cut_off(
    hurried: str, connection_header: str
) -> None:
    request = head(path="/nowhere", Content_Length=900, Connection=connection_header)
    with connect(hurried, request + b"some") as connection:
        assert refusal_on(connection).status == 404
        assert is_closed_within(5, connection)


def test_a_connection_is_used_again_after_an_early_answer(hurried: str) -> None:
    with connect(hurried, head(path="/nowhere", Content_Length=900) + bytes(900)) as connection:
        assert refusal_on(connection).status == 404
        time.sleep(0.6)  # longer than the body may take
        connection.sendall(GET)
        assert status_on(connection) == 200


# Clients that do not read


def received_on(connection: socket.socket, pause_s: float = 0) -> int:
    """Read to the end with pauses, and return the number of bytes that came."""
    received = 0
    with suppress(ConnectionResetError):
        while chunk := connection.recv(200_000):
            received += len(chunk)
            time.sleep(pause_s)
    return received


@pytest.fixture
def large_answers(gated_store: GatedStore) -> bytes:
    """Return a picture that is answered with 8 MiB, of which the kernel keeps less than half."""
    gated_store.gate.opened.set()
    noise = np.random.default_rng(0).integers(0, 256, (1700, 1700, 3), dtype=np.uint8)
    return encoded(Image.fromarray(noise), compress_level=0)


def paint(url: str, picture: bytes, connection_header: str = "keep-alive") -> socket.socket:
    """Send a picture on a connection whose answer is not read."""
    request = head(Content_Length=len(picture), Content_Type="image/png", Connection=connection_header)
    connection = connect(url, request + picture, receive_buffer=8192)
    connection.recv(1, socket.MSG_PEEK)
    return connection


@pytest.mark.parametrize("connection_header", ["close", "keep-alive"])
def test_a_client_that_stops_reading_is_cut_off(
    gated_store: GatedStore, large_answers: bytes, connection_header: str
) -> None:
    hurried = Settings(device="cpu", send_timeout_s=0.3)
    with serve(hurried, gated_store) as url, paint(url, large_answers, connection_header) as connection:
        time.sleep(1)
        assert received_on(connection) < len(large_answers) * 0.7


def test_a_client_that_reads_steadily_gets_all_of_its_answer(gated_store: GatedStore, large_answers: bytes) -> None:
    hurried = Settings(device="cpu", send_timeout_s=0.5)
    request = head(Content_Length=len(large_answers), Content_Type="image/png", Connection="close")
    with serve(hurried, gated_store) as url, connect(url, request + large_answers) as connection:
        assert received_on(connection, pause_s=0.03) > len(large_answers)


def test_answers_that_are_not_read_are_dropped_where_their_memory_is_needed(
    gated_store: GatedStore, large_answers: bytes
) -> None:
    little_memory = Settings(device="cpu", max_answer_bytes_in_flight=8 * MIB)
    with serve(little_memory, gated_store) as url, paint(url, large_answers) as unread:
        read_well = stylize(url, large_answers)
        received = received_on(unread)
    assert (read_well.status_code, len(read_well.content)) == (200, int(read_well.headers["Content-Length"]))
    assert received < len(large_answers) * 0.7


# Many connections


def test_the_connection_that_waits_longest_makes_room_for_a_new_one(photo_png: bytes) -> None:
    few = Settings(device="cpu", max_connections=8)
    with serve(few, Store(BUNDLED)) as url, ExitStack() as silent:
        first = silent.enter_context(connect(url))
        time.sleep(0.1)
        others = [silent.enter_context(connect(url)) for _ in range(7)]
        assert stylize(url, photo_png).status_code == 200
        assert is_closed_within(1, first)
        assert all(map(is_open, others))


def test_a_request_that_is_being_answered_makes_no_room(gated_store: GatedStore, photo_png: bytes) -> None:
    few = Settings(device="cpu", max_connections=4)
    answers = []
    with serve(few, gated_store) as url, ExitStack() as silent:
        thread = threading.Thread(target=lambda: answers.append(stylize(url, photo_png).status_code))
        thread.start()
        assert gated_store.gate.entered.wait(30)
        for _ in range(3):
            silent.enter_context(connect(url))
        time.sleep(0.1)
        for _ in range(3):
            silent.enter_context(connect(url))
        assert httpx.get(f"{url}/livez").status_code == 200
        gated_store.gate.opened.set()
        thread.join()
    assert answers == [200]
