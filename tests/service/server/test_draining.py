"""`impasto serve` between SIGTERM and its end, in real processes."""

import io
import itertools
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Semaphore
from typing import NamedTuple

import httpx
import pytest
from PIL import Image
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from .server_process import IMPASTO, SECONDS, ServerProcess, is_running, serving

pytestmark = pytest.mark.process

REFUSALS = (httpx.ConnectError, httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
"""Errors when a server takes no more requests: there is no connection, or it is closed before any answer."""
ENDLESS = (sys.executable, str(Path(__file__).with_name("endless_server.py")))
STOPS = r"Waiting for (connections to close|application shutdown)"

one_or_two_workers = pytest.mark.parametrize("workers", [1, 2])


@pytest.fixture(scope="module")
def picture() -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((160, 120)).save(buffer, "PNG")
    return buffer.getvalue()


def is_whole(answer: bytes) -> bool:
    return answer.endswith(b"IEND\xaeB`\x82")


@contextmanager
def uploading_to(server: ServerProcess, size: int) -> Iterator[socket.socket]:
    """Yield a connection whose request is accepted, and whose body of so many bytes is still to be sent."""
    address = httpx.URL(server.url)
    with socket.create_connection((address.host, address.port), timeout=SECONDS) as connection:
        head = (
            f"POST /stylize?style=muse HTTP/1.1\r\nHost: impasto\r\nContent-Type: image/png\r\n"
            f"Content-Length: {size}\r\nExpect: 100-continue\r\n\r\n"
        )
        connection.sendall(head.encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
        yield connection


def read(connection: socket.socket) -> bytes:
    """Return all bytes that come until the server closes the connection."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


class Answered(NamedTuple):
    request_id: str
    after_sigterm: bool


class Clients:
    """Clients that send pictures, each the next when the last is answered, until they are refused."""

    def __init__(self, url: str, picture: bytes) -> None:
        self._url = url
        self._picture = picture
        self.sigterm = Event()
        self.answers = Semaphore(0)
        """Semaphore that is released once for each answer."""

    def run(self, number: int, *, keep_alive: bool) -> list[Answered]:
        """Send pictures as one client, check that each answer is whole, and return the answers."""
        answered = []
        limits = httpx.Limits(max_keepalive_connections=1 if keep_alive else 0)
        with httpx.Client(base_url=self._url, timeout=SECONDS, limits=limits) as client:
            for turn in itertools.count():
                request_id = f"{number}-{turn}"
                strength = 1 - (1000 * number + turn) / 1e6  # no two alike: equal requests are computed once
                request = client.build_request(
                    "POST",
                    f"/stylize?style=muse&strength={strength}",
                    content=self._picture,
                    headers={"X-Request-ID": request_id},
                )
                try:
                    answer = client.send(request, stream=True)
                except REFUSALS:
                    return answered
                assert answer.status_code == 200
                assert is_whole(answer.read())
                answered.append(Answered(request_id, self.sigterm.is_set()))
                self.answers.release()
        raise AssertionError


@one_or_two_workers
def test_every_request_that_was_accepted_is_answered_whole_and_the_others_are_refused(
    workers: int, picture: bytes
) -> None:
    number_of_clients = 8
    with serving(workers) as server, ThreadPoolExecutor(number_of_clients) as threads:
        clients = Clients(server.url, picture)
        running = [
            threads.submit(clients.run, number, keep_alive=number % 2 == 0) for number in range(number_of_clients)
        ]
        for _ in range(2 * number_of_clients):
            assert clients.answers.acquire(timeout=SECONDS)
        clients.sigterm.set()
        assert server.stop() == 0
        answered = [each for client in running for each in client.result(SECONDS)]
    assert not any(is_running(worker) for worker in server.workers)
    in_log = re.findall(r"\[(\d+-\d+)\] answered .* status=(\d+)", "".join(server.log))
    assert sorted(in_log) == sorted((each.request_id, "200") for each in answered)
    assert sum(each.after_sigterm for each in answered) > 1


@one_or_two_workers
def test_after_sigterm_an_upload_goes_on_and_new_clients_are_refused(workers: int, picture: bytes) -> None:
    middle = len(picture) // 2
    with serving(workers) as server, uploading_to(server, len(picture)) as upload:
        upload.sendall(picture[:middle])
        server.terminate()
        for _ in range(workers):
            server.wait_for(STOPS)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.url}/readyz")
        upload.sendall(picture[middle:])
        answer = read(upload)
        assert server.end() == 0
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nconnection: close\r\n" in answer.lower()
    assert is_whole(answer)


@one_or_two_workers
def test_a_live_connection_is_closed_with_1012_and_does_not_delay_the_end(workers: int, picture: bytes) -> None:
    with serving(workers) as server, connect(f"{server.url.replace('http', 'ws', 1)}/stylize/live?style=muse") as live:
        live.send(picture)
        while isinstance(live.recv(SECONDS), str):
            pass
        live.send(picture)
        assert server.stop() == 0
        with suppress(ConnectionClosed):
            while True:
                live.recv(SECONDS)
        assert live.close_code == 1012
    assert "graceful shutdown exceeded" not in "".join(server.log)


@one_or_two_workers
def test_a_request_that_is_not_done_when_the_grace_is_over_is_answered_503(workers: int) -> None:
    with (
        serving(workers, "--grace", "1", "--workers", str(workers), setting=3) as server,
        uploading_to(server, 10) as upload,
    ):
        assert server.stop() == 0
        answer = read(upload)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nretry-after: " in answer.lower()


@one_or_two_workers
def test_a_net_that_never_finishes_does_not_keep_the_server_alive(workers: int, picture: bytes) -> None:
    with serving(workers, "--grace", "0", command=ENDLESS) as server, ThreadPoolExecutor(1) as thread:
        answer = thread.submit(httpx.post, f"{server.url}/stylize?style=muse", content=picture, timeout=SECONDS)
        server.wait_for("computing")
        assert server.stop() == 0
        assert answer.result().status_code == 503
        assert answer.result().json()["detail"] == "the server is shutting down: try another"
    assert not any(is_running(worker) for worker in server.workers)


def test_a_server_that_gets_sigterm_while_it_starts_stops() -> None:
    command = [sys.executable, "-X", "importtime", IMPASTO[0], "serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any("torch." in line for line in process.stderr)
        process.terminate()
        process.communicate(timeout=SECONDS)
    assert process.returncode == 0


@one_or_two_workers
def test_a_server_that_cannot_start_ends_with_an_exit_code(workers: int, tmp_path: Path) -> None:
    environment = os.environ | {
        "IMPASTO_DEVICE": "cpu",
        "IMPASTO_WORKERS": str(workers),
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "not-there"),
    }
    done = subprocess.run(
        [*IMPASTO, "--port", "0"], stderr=subprocess.PIPE, text=True, timeout=2 * SECONDS, check=False, env=environment
    )
    assert done.returncode == 3
    assert "startup failed" in done.stderr
