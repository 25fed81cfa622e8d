"""Connections on which tests write bytes of their own."""

import json
import select
import socket
import time
from http.client import HTTPResponse
from typing import Any, NamedTuple

import httpx

GET = b"GET /livez HTTP/1.1\r\nHost: impasto\r\n\r\n"


class Refusal(NamedTuple):
    """An answer with a problem document."""

    status: int
    headers: dict[str, str]
    document: dict[str, Any]


def connect(url: str, sent: bytes = b"", receive_buffer: int | None = None) -> socket.socket:
    """Open a connection, send bytes, and return it.

    Args:
        url: Address of the server.
        sent: Bytes to send.
        receive_buffer: Bytes of the buffer in which the kernel keeps what was not read, if it is to be small.
    """
    address = httpx.URL(url)
    connection = socket.socket()
    connection.settimeout(20)
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.connect((address.host, address.port))
    connection.sendall(sent)
    return connection


def head(method: str = "POST", path: str = "/stylize?style=muse", **headers: object) -> bytes:
    """Return the head of a request; underscores in the names of headers become hyphens."""
    lines = [f"{method} {path} HTTP/1.1", "Host: impasto"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def refusal_on(connection: socket.socket) -> Refusal:
    """Read an answer with a problem document."""
    answer = HTTPResponse(connection)
    answer.begin()
    assert answer.headers["Content-Type"] == "application/problem+json"
    return Refusal(answer.status, {name.lower(): value for name, value in answer.getheaders()}, json.load(answer))


def status_on(connection: socket.socket) -> int:
    """Read an answer, and return its status."""
    answer = HTTPResponse(connection)
    answer.begin()
    answer.read()
    return answer.status


def is_open(connection: socket.socket) -> bool:
    """Tell whether the server has neither closed the connection nor sent anything on it."""
    return not select.select([connection], [], [], 0)[0]


def is_closed_within(seconds: float, connection: socket.socket) -> bool:
    """Read to the end, and tell whether it comes within so many seconds."""
    connection.settimeout(seconds)
    end = time.monotonic() + seconds
    try:
        while connection.recv(1 << 20):
            if time.monotonic() > end:
                return False
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True
    return True
