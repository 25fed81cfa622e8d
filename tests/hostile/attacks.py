"""Attacks by clients that send little and hold much, each a process of its own.

    python tests/hostile/attacks.py slow-uploads http://localhost:8000 --connections 64

An attack prints `ready` once it holds what it holds, and goes on until its standard input is closed. It opens a
connection anew when the server closes one, at most so many times a second as it has connections.
"""

import argparse
import functools
import io
import os
import select
import socket
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

_PULSE_S = 0.2
"""Seconds between two pulses, in which each connection sends its next bytes."""
_HANDSHAKE = (
    "GET /stylize/live?style=muse HTTP/1.1\r\nHost: impasto\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_MANY = 4_000_000 * b"x"
_FRAME_HEAD = bytes((0x82, 0xFF)) + (2 * 1024**2).to_bytes(8) + bytes(4)
"""Beginning of a binary frame of two megabytes, masked by zeros."""
_PONG = bytes((0x8A, 0x80, 0, 0, 0, 0))
"""A pong without content, masked by zeros."""


class Attack(NamedTuple):
    """What each connection of an attack sends."""

    connections: int
    """Number of connections that held everybody else up before there were limits."""
    opening: Callable[[], bytes]
    """Function that returns what is sent at first."""
    pulse: bytes = b""
    """What is sent again and again after that."""
    waits_for_answer: bool = False
    """Whether the first byte of an answer is waited for, and the rest left unread."""


def _upload(size: int, body: bytes, **headers: str) -> bytes:
    lines = ["POST /stylize?style=muse HTTP/1.1", "Host: impasto", "Content-Type: image/png", f"Content-Length: {size}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _picture(name: str) -> Callable[[], bytes]:
    """Return a function that returns a request with a picture of `attacking_pictures`, which is made once."""

    @functools.cache
    def request() -> bytes:
        import attacking_pictures  # only where this file is run as a program

        picture = getattr(attacking_pictures, name)()
        return _upload(len(picture), picture, Connection="close")

    return request


def _large_picture() -> bytes:
    """Return a request whose answer has 7 MB, more than the kernel keeps of it."""
    from PIL import Image

    picture = io.BytesIO()
    Image.frombytes("RGB", (1600, 1600), os.urandom(1600 * 1600 * 3)).save(picture, "PNG", compress_level=0)
    return _upload(picture.tell(), picture.getvalue())


_same_large_picture = functools.cache(_large_picture)
"""Function that returns the same request each time: equal ones are computed once, so that only reading is slow."""


ATTACKS = {
    "slow-uploads": Attack(64, lambda: _upload(1000, b"x")),
    "trickled-uploads": Attack(64, lambda: _upload(10_000, b"x"), pulse=b"x"),
    "large-unfinished-uploads": Attack(8, lambda: _upload(64_000_000, bytes(40_000_000))),
    "silent-connections": Attack(600, lambda: b""),
    "idle-connections": Attack(600, lambda: b"GET /livez HTTP/1.1\r\nHost: impasto\r\n\r\n"),
    "trickled-headers": Attack(200, lambda: b"GET /livez HTTP/1.1\r\nX-Slow: ", pulse=b"x"),
    "endless-headers": Attack(4, lambda: b"GET /livez HTTP/1.1\r\nX-Long: ", pulse=_MANY),
    "endless-trailers": Attack(
        4,
        lambda: b"POST /nowhere HTTP/1.1\r\nHost: impasto\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Long: ",
        pulse=_MANY,
    ),
    "pipelined-requests": Attack(8, lambda: 5_000 * b"GET /livez HTTP/1.1\r\nHost: impasto\r\n\r\n"),
    "unread-answers": Attack(32, _same_large_picture, waits_for_answer=True),
    "silent-websockets": Attack(256, _HANDSHAKE.encode, pulse=_PONG),
    "unfinished-frames": Attack(128, _HANDSHAKE.encode, pulse=_FRAME_HEAD + bytes(100_000)),
    "refused-uploads": Attack(
        8, lambda: b"POST /nowhere HTTP/1.1\r\nHost: impasto\r\nContent-Length: 64000000\r\n\r\n" + bytes(20_000_000)
    ),
    "overlapping-tiffs": Attack(8, _picture("overlapping_tiff")),
    "tiffs-of-many-strips": Attack(4, _picture("tiff_of_many_strips")),
    "jpegs-of-many-scans": Attack(8, _picture("jpeg_of_many_scans")),
    "gifs-of-many-frames": Attack(8, _picture("gif_of_many_frames")),
}
"""The attacks, by their names."""


class _Connections:
    """The connections of one attack."""

    def __init__(self, address: tuple[str, int], attack: Attack, number: int) -> None:
        self._address = address
        self._attack = attack
        self._number = number
        self._open: list[socket.socket] = []

    def fill_up(self) -> None:
        """Open as many connections as are missing."""
        new = []
        for _ in range(self._number - len(self._open)):
            connection = socket.socket()
            if self._attack.waits_for_answer:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            connection.settimeout(2)
            with suppress(OSError):
                connection.connect(self._address)
                new.append(connection)
        for connection in new:
            with suppress(OSError):
                connection.sendall(self._attack.opening())
        for connection in new:
            connection.settimeout(60)
            with suppress(OSError):
                if self._attack.waits_for_answer:
                    connection.recv(1)
            connection.setblocking(False)
        self._open += new

    def pulse(self) -> None:
        """Send on, and give up the connections that the server closed."""
        still_open = []
        for connection in self._open:
            try:
                if self._attack.pulse:
                    with suppress(BlockingIOError):
                        connection.send(self._attack.pulse)
                is_over = False
                if not self._attack.waits_for_answer and select.select([connection], [], [], 0)[0]:
                    is_over = not connection.recv(65536)
            except OSError:
                is_over = True
            if is_over:
                connection.close()
            else:
                still_open.append(connection)
        self._open = still_open


def main() -> None:
    """Attack until the standard input is closed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("attack", choices=ATTACKS)
    parser.add_argument("url")
    parser.add_argument("--connections", type=int, help="number of connections, if not as many as usual")
    options = parser.parse_args()
    attack = ATTACKS[options.attack]
    url = urllib.parse.urlsplit(options.url)
    connections = _Connections((url.hostname or "", url.port or 80), attack, options.connections or attack.connections)
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    connections.fill_up()
    print("ready", flush=True)
    filled = time.monotonic()
    while not over.wait(_PULSE_S):
        connections.pulse()
        if time.monotonic() - filled > 1:
            connections.fill_up()
            filled = time.monotonic()


if __name__ == "__main__":
    main()
