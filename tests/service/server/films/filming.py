"""Films that are sent to a server, and what is left of them in its process."""

import io
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import httpx

from service.server.settings import Settings

from ...serving import serve


def post(url: str, film: bytes, task: str = "stylize", query: str = "style=muse", **headers: str) -> httpx.Response:
    """Send a film as a form, and return the whole answer."""
    return httpx.post(f"{url}/{task}?{query}", files={"image": ("film.mp4", film)}, headers=headers, timeout=60)


@contextmanager
def posted(url: str, film: bytes, query: str = "style=muse") -> Iterator[httpx.Response]:
    """Send a film, and yield the answer of which only the headers were read."""
    with httpx.stream("POST", f"{url}/stylize?{query}", files={"image": ("film.mp4", film)}, timeout=60) as answer:
        yield answer


def frames_in(content: bytes) -> list[av.VideoFrame]:
    with av.open(io.BytesIO(content)) as film:
        return list(film.decode(video=0))


def children() -> set[int]:
    """The processes that this one has started, and that run."""
    lists = Path("/proc/self/task").glob("*/children")
    pids = {int(pid) for each in lists for pid in each.read_text().split()}
    return {pid for pid in pids if "isolated.child" in command_of(pid)}


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def a_child() -> int:
    """Wait for the process of a film, and return its id."""
    end = time.monotonic() + 30
    while not (found := children()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return found.pop()


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@contextmanager
def serving(store: Any, **settings: Any) -> Iterator[str]:
    """Run a server on the CPU."""
    with serve(Settings(device="cpu", **settings), store) as url:
        yield url
