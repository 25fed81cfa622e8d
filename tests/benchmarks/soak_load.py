"""The load of `soak.py`: what each request sends, and what became of it."""

import asyncio
import contextlib
import random
import re
import time
from collections import Counter
from typing import NamedTuple

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from service.bench import pictures

STYLE = "muse"
_SIZE = 96
_SHARES = {"good": 75, "enlarged": 5, "leaving": 8, "broken": 5, "damaged": 3, "unknown": 2, "half": 2}
"""Kinds of requests, and how many of a hundred are of each."""
_OVER_S = 90
"""Seconds that an answer may take before the connection is given up as broken."""
_CLOSED_S = 3.0
"""Seconds in which connections are closed after the last answer."""
IN_FLIGHT = ("impasto_requests_in_flight", "impasto_queued_pictures")
"""Metrics that are 0 at rest."""


class Sent(NamedTuple):
    """One request as it is sent."""

    name: str
    path: str
    body: bytes
    announced: int
    """Bytes that the header announces."""
    leaves_after: float | None = None
    """Seconds after which the client leaves; None if it waits for the answer."""


class Load:
    """The requests that are sent, and what became of them."""

    def __init__(self, url: str, seed: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.sent = self.left = 0
        self._url = url
        self._host, _, self._port = url.removeprefix("http://").partition(":")
        self._random = random.Random(seed)  # noqa: S311
        self._picture = pictures.make(_SIZE, _SIZE, "jpeg").files[0]
        self._small = pictures.make(_SIZE // 3, _SIZE // 3, "jpeg").files[0]

    def _next(self) -> Sent:
        [name] = self._random.choices(list(_SHARES), list(_SHARES.values()))
        picture = self._unequal(self._small if name == "enlarged" else self._picture)
        paths = {"enlarged": "/super-resolve?factor=2", "unknown": "/stylize?style=nobody"}
        bodies = {"broken": picture[: len(picture) // 2], "half": picture[:100], "damaged": self._damaged(picture)}
        body = bodies.get(name, picture)
        leaves_after = self._random.uniform(0, 1) if name == "leaving" else None
        announced = len(picture) if name == "half" else len(body)
        return Sent(name, paths.get(name, f"/stylize?style={STYLE}"), body, announced, leaves_after)

    def _damaged(self, picture: bytes) -> bytes:
        damaged = bytearray(picture)
        for _ in range(8):
            damaged[self._random.randrange(len(damaged))] = self._random.randrange(256)
        return bytes(damaged)

    def _unequal(self, picture: bytes) -> bytes:
        """Return a picture with other bytes behind its end, because equal ones would be computed once."""
        return picture + self._random.randbytes(4)

    async def peak(self, seconds: float, clients: int) -> float:
        """Send one good request after the other by some clients, and return how many are answered in a second."""
        started, before = time.monotonic(), self.sent

        async def client() -> None:
            while time.monotonic() - started < seconds:
                picture = self._unequal(self._picture)
                await self.send(Sent("peak", f"/stylize?style={STYLE}", picture, len(picture)))

        await asyncio.gather(*(client() for _ in range(clients)))
        return (self.sent - before) / (time.monotonic() - started)

    async def send_for(self, seconds: float, rate: float) -> None:
        """Send requests at random times for so long, and wait until the last has its end."""
        end, due = time.monotonic() + seconds, time.monotonic()
        async with asyncio.TaskGroup() as group:
            while (due := due + self._random.expovariate(rate)) < end:
                await asyncio.sleep(max(0, due - time.monotonic()))
                group.create_task(self._live() if self._random.random() < 0.01 else self.send(self._next()))

    async def send(self, request: Sent) -> None:
        """Send one request, and count what became of it."""
        head = f"POST {request.path} HTTP/1.1\r\nHost: impasto\r\nConnection: close\r\n"
        self.sent += 1
        try:
            reader, writer = await asyncio.open_connection(self._host, int(self._port))
            try:
                writer.write(f"{head}Content-Length: {request.announced}\r\n\r\n".encode() + request.body)
                await writer.drain()
                if request.leaves_after is not None:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(reader.readline(), request.leaves_after)
                    self.left += 1
                    self.outcomes["leaving: left"] += 1
                    return
                answer = await asyncio.wait_for(reader.read(), _OVER_S)
            finally:
                writer.close()
            status = answer[9:12].decode() if answer else "closed"
        except (OSError, TimeoutError) as error:
            status = type(error).__name__
        self.statuses[status] += 1
        self.outcomes[f"{request.name}: {status}"] += 1

    async def _live(self) -> None:
        """Open a live connection, send three frames, one of them damaged now and then, and leave."""
        outcome = "closed"
        with contextlib.suppress(OSError, WebSocketException, TimeoutError):
            url = f"{self._url.replace('http', 'ws', 1)}/stylize/live?style={STYLE}"
            async with asyncio.timeout(_OVER_S), connect(url) as live:
                for _ in range(3):
                    await live.send(self._picture if self._random.random() < 0.9 else b"no picture")
                    await live.recv()
                outcome = "left"
        self.outcomes[f"live: {outcome}"] += 1


async def quiet(url: str) -> Counter[str]:
    """Wait until nothing is in flight any more, at most as long as an answer may take, and return the counts."""
    deadline = time.monotonic() + _OVER_S
    while True:
        counts = await counts_of(url)
        if not any(counts[name] for name in IN_FLIGHT) or time.monotonic() > deadline:
            await asyncio.sleep(_CLOSED_S)
            return counts
        await asyncio.sleep(0.5)


async def counts_of(url: str) -> Counter[str]:
    """Return the server's counts of requests with pictures by their status, and of what is in flight by its name."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: impasto\r\nConnection: close\r\n\r\n")
    text = (await reader.read()).decode()
    writer.close()
    counts: Counter[str] = Counter()
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if re.match(r'impasto_requests_total\{route="/(stylize|super-resolve)"', name):
            counts[name.partition('status="')[2][:3]] += int(float(value))
        elif name in IN_FLIGHT:
            counts[name] = int(float(value))
    return counts
