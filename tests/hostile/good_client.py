"""A client that wants pictures while a server is attacked, and an attack beside it."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

_PAUSE_S = 0.02
"""Seconds between two requests."""
_PATIENCE_S = 20.0
"""Seconds after which a request is given up."""


class Experience(NamedTuple):
    """What a client experienced."""

    p50_ms: float | None
    p99_ms: float | None
    """Milliseconds of the answers, connecting included; None if none came."""
    refused: int
    """Number of requests that were not answered by a picture."""
    longest_refusal_s: float
    """Largest number of seconds from a refused request until the next picture."""


def experience(url: str, picture: bytes, seconds: float, *, live: bool = False) -> Experience:
    """Ask for pictures for so many seconds, each on a connection of its own.

    Args:
        url: Address of the server.
        picture: Picture as a file.
        seconds: Seconds for which to ask.
        live: Whether to ask by a WebSocket.
    """
    ask = _ask_live if live else _ask
    times, refused, longest = [], 0, 0.0
    since: float | None = None
    end = time.monotonic() + seconds
    while (began := time.monotonic()) < end or (not times and began < end + _PATIENCE_S):
        if ask(url, picture):
            times.append(time.monotonic() - began)
            since = None
        else:
            refused += 1
            since = since or began
            longest = max(longest, time.monotonic() - since)
        time.sleep(_PAUSE_S)
    times.sort()
    if not times:
        return Experience(None, None, refused, longest)
    return Experience(1000 * times[len(times) // 2], 1000 * times[len(times) * 99 // 100], refused, longest)


def _ask(url: str, picture: bytes) -> bool:
    try:
        return httpx.post(f"{url}/stylize?style=muse", content=picture, timeout=_PATIENCE_S).status_code == 200
    except httpx.HTTPError:
        return False


def _ask_live(url: str, picture: bytes) -> bool:
    try:
        with connect(f"{url.replace('http', 'ws', 1)}/stylize/live?style=muse", open_timeout=_PATIENCE_S) as websocket:
            websocket.send(picture)
            while isinstance(message := websocket.recv(_PATIENCE_S), str):
                if "problem" in message:
                    return False
            return True
    except (OSError, WebSocketException):
        return False


@contextmanager
def attacked(name: str, url: str, connections: int | None = None) -> Iterator[None]:
    """Attack a server during the `with` block.

    Args:
        name: Name of the attack.
        url: Address of the server.
        connections: Number of connections, if not as many as usual.
    """
    command = [sys.executable, str(Path(__file__).with_name("attacks.py")), name, url]
    if connections is not None:
        command += ["--connections", str(connections)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()
