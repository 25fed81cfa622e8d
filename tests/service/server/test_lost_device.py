"""What becomes of a server whose device is lost, in real processes."""

import io
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from PIL import Image

from service.server.processes import DEVICE_LOST

from .server_process import SECONDS, ServerProcess, serving

pytestmark = pytest.mark.process

FATAL = (sys.executable, str(Path(__file__).with_name("lost_device_server.py")))


def png(level: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), (level,) * 3).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


def lose_device(server: ServerProcess, threads: ThreadPoolExecutor, waiting: int) -> list[httpx.Response]:
    """Send a picture that the device is lost at, and others while it is computed; return all answers."""

    def send(picture: bytes, strength: float) -> httpx.Response:
        address = f"{server.url}/stylize?style=muse&strength={strength}"
        return httpx.post(address, content=picture, timeout=SECONDS, headers={"Connection": "close"})

    answers: list[Future[httpx.Response]] = [threads.submit(send, png(0), 1)]
    server.wait_for("dark")
    answers += [threads.submit(send, png(200), 1 - number / 100) for number in range(waiting)]
    return [answer.result(SECONDS) for answer in answers]


def assert_lost(answer: httpx.Response) -> None:
    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:impasto:problem:device-lost"
    assert "device-side assert" in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"]
    assert int(answer.headers["Retry-After"]) > 0


devices = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])


@devices
def test_a_server_whose_device_is_lost_answers_what_it_accepted_and_ends_as_failed(
    device: str, threads: ThreadPoolExecutor
) -> None:
    with serving(1, command=FATAL, device=device) as server:
        for answer in lose_device(server, threads, waiting=3):
            assert_lost(answer)
        assert server.end() == DEVICE_LOST
    assert "this process ends" in "".join(server.log)


@devices
def test_a_worker_whose_device_is_lost_ends_and_is_replaced(device: str, threads: ThreadPoolExecutor) -> None:
    with serving(2, command=FATAL, device=device) as server:
        first, *_ = lose_device(server, threads, waiting=0)
        assert_lost(first)
        third = server.next_worker()
        assert third not in server.workers
        server.workers.append(third)
        for _ in range(4):
            answer = httpx.post(f"{server.url}/stylize?style=muse", content=png(200), timeout=SECONDS)
            assert answer.status_code == 200
        assert server.stop() == 0
    ended = [line for line in server.log if "died" in line]
    assert len(ended) == 1


def test_the_exit_code_is_that_of_a_failure_and_no_others() -> None:
    assert DEVICE_LOST not in {0, 1, 2, 3, 128 + signal.SIGTERM}
