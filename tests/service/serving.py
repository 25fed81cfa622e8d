"""Servers that run in threads of the tests, and requests to them."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn

from model_store.store import Store
from service.server.app import create_app
from service.server.processes import configure
from service.server.settings import Settings


@contextmanager
def serve(settings: Settings, store: Store, log_level: str | None = "critical") -> Iterator[str]:
    """Run a server, and yield its address; uvicorn's loggers stay as they are where `log_level` is None."""
    # The socket listens before the server runs, so that a first request waits until it is ready.
    with socket.create_server(("127.0.0.1", 0)) as listening:
        log: dict[str, Any] = {} if log_level else {"log_config": None}
        server = uvicorn.Server(configure(create_app(settings, store), settings, log_level=log_level, **log))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            httpx.get(f"{url}/livez", timeout=60).raise_for_status()
            yield url
        finally:
            server.should_exit = True
            thread.join()


def stylize(url: str, picture: bytes, **headers: str) -> httpx.Response:
    """Have a server paint a picture by `muse`; other arguments are headers by name."""
    return httpx.post(f"{url}/stylize?style=muse", content=picture, headers=headers, timeout=60)


def has_a_place(url: str) -> bool:
    """Tell whether a server has a free place, by a request that gets 415 if so, else 429."""
    answer = httpx.post(f"{url}/stylize?style=muse", content=b"", headers={"Content-Type": "text/plain"})
    assert answer.status_code in {415, 429}
    return answer.status_code == 415


def metric(url: str, name: str) -> float:
    """Return the sum of all series of a server whose names begin with a text."""
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def until(is_so: Callable[[], bool]) -> bool:
    """Wait up to a minute for a condition, and return whether it came true."""
    deadline = time.monotonic() + 60
    while not (came_true := is_so()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return came_true
