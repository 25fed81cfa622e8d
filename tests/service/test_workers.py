"""`impasto serve` in real processes."""

import io
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import torch
from PIL import Image

from model_store.store import BUNDLED, Store
from service.settings import Settings

Serve = Callable[[Settings, Store], AbstractContextManager[str]]

SECONDS = 60


class Serving(NamedTuple):
    """A running `impasto serve`."""

    process: subprocess.Popen[str]
    url: str
    workers: list[int]
    """Process ids."""

    def next_worker(self) -> int:
        """The id of the next worker that starts; waits for it."""
        assert self.process.stderr is not None
        started = (re.search(r"Started server process \[(\d+)\]", line) for line in self.process.stderr)
        return int(next(filter(None, started))[1])

    def stop(self) -> int:
        """Sends SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=SECONDS)
        return self.process.returncode


@contextmanager
def serving(workers: int, *arguments: str, setting: int | None = None) -> Iterator[Serving]:
    """Runs so many workers; as many as IMPASTO_WORKERS, unless that is set to another number."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [Path(sys.executable).with_name("impasto"), "serve", "--port", str(port)]
    environment = os.environ | {"IMPASTO_DEVICE": "cpu", "IMPASTO_STORE": "nothing-here", "OMP_NUM_THREADS": "1"}
    environment["IMPASTO_WORKERS"] = str(setting or workers)
    environment.pop("PROMETHEUS_MULTIPROC_DIR", None)
    process = subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE, text=True, env=environment)
    serving = Serving(process, f"http://127.0.0.1:{port}", [])
    try:
        for _ in range(workers):
            serving.workers.append(serving.next_worker())
        with httpx.Client(transport=httpx.HTTPTransport(retries=9)) as client:  # waits until the socket listens
            client.get(f"{serving.url}/livez", timeout=SECONDS)
        yield serving
    finally:
        for worker in serving.workers:
            if is_running(worker):
                os.kill(worker, signal.SIGCONT)
        if process.poll() is None:
            serving.stop()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def paused(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def is_live(url: str) -> bool:
    return httpx.get(f"{url}/livez", timeout=SECONDS).status_code == 200


def send_accepted(url: str, picture: bytes) -> socket.socket:
    """Sends a picture once the server has said that it wants it."""
    address = httpx.URL(url)
    connection = socket.create_connection((address.host, address.port), timeout=SECONDS)
    head = (
        f"POST /super-resolve HTTP/1.1\r\nHost: impasto\r\nContent-Type: image/png\r\n"
        f"Content-Length: {len(picture)}\r\nExpect: 100-continue\r\n\r\n"
    )
    connection.sendall(head.encode())
    assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
    connection.sendall(picture)
    return connection


def test_every_worker_answers_and_one_that_dies_is_replaced() -> None:
    with serving(2) as server:
        first, second = server.workers
        for worker in (first, second):
            with paused(worker):
                assert is_live(server.url)
        os.kill(first, signal.SIGKILL)
        third = server.next_worker()
        with paused(second):
            assert is_live(server.url)
        assert server.stop() == 0
    assert third not in {first, second}
    assert not any(is_running(worker) for worker in (second, third))


@pytest.mark.parametrize("workers", [1, 2])
def test_what_was_accepted_is_answered_after_sigterm(workers: int) -> None:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((160, 120)).save(buffer, "PNG")
    with (
        serving(workers) as server,
        send_accepted(server.url, buffer.getvalue()) as connection,
        ThreadPoolExecutor(1) as thread,
    ):
        exit_code = thread.submit(server.stop)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert exit_code.result() == 0
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"IEND\xaeB`\x82")


@pytest.mark.parametrize("workers", [1, 2])
def test_what_does_not_end_is_given_up_after_the_grace(workers: int) -> None:
    with serving(workers, "--grace", "1", "--workers", str(workers), setting=3) as server:
        address = httpx.URL(server.url)
        with socket.create_connection((address.host, address.port), timeout=SECONDS) as connection:
            connection.sendall(b"POST /stylize?style=muse HTTP/1.1\r\nHost: impasto\r\nContent-Length: 10\r\n")
            connection.sendall(b"Expect: 100-continue\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
            assert server.stop() == 0


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="tells the environment of no process")
def test_workers_have_one_fresh_folder_for_their_metrics() -> None:
    with serving(2) as server:
        environments = [Path(f"/proc/{worker}/environ").read_text() for worker in server.workers]
        folders = {re.search(r"PROMETHEUS_MULTIPROC_DIR=([^\0]+)", each)[1] for each in environments}
        assert len(folders) == 1
        folder = Path(folders.pop())
        assert folder.is_dir()
        assert server.stop() == 0
    assert not folder.exists()


def test_workers_share_what_the_machine_has() -> None:
    together = Settings(max_in_flight=64, max_pixels_in_flight=1000, codec_threads=3, workers=4)
    each = together.of_one_worker()
    divided = {"max_in_flight": 16, "max_pixels_in_flight": 250, "codec_threads": 1}
    assert each.model_dump() == together.model_dump() | divided


def test_workers_share_the_cores(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    before = torch.get_num_threads()
    torch.set_num_threads(6)
    try:
        with serve(Settings(device="cpu", workers=2), Store(BUNDLED)), ThreadPoolExecutor(1) as new_thread:
            assert new_thread.submit(torch.get_num_threads).result() == 3
    finally:
        torch.set_num_threads(before)


def test_a_worker_takes_its_share_of_the_requests(serve: Serve, gated_store: Any, photo_png: bytes) -> None:
    both_together = Settings(device="cpu", workers=2, max_in_flight=3)
    with serve(both_together, gated_store) as url, ThreadPoolExecutor(1) as thread:
        thread.submit(httpx.post, f"{url}/stylize?style=muse", content=photo_png, timeout=SECONDS)
        assert gated_store.gate.entered.wait(SECONDS)
        assert httpx.post(f"{url}/stylize?style=muse", content=photo_png).status_code == 429
        gated_store.gate.opened.set()
