"""Load a server with twice what it can answer for an hour, throw faults in, and count what became of each request.

    python tests/benchmarks/soak.py --minutes 60

Requests come at random times, at twice the rate of the server's peak. Most are good; others have a broken or damaged
picture, an unknown style, an upload that stops half-way, or a client that leaves; live connections are opened and left
as well. Meanwhile new versions of a model are published, one of them damaged, and the server is stopped for half a
second now and then, as when its clock jumps. At the end:

- `unaccounted` is 0: the server counted as many requests as were sent, and each was answered or given up by its client;
- `resident_growth_percent` is small: memory in the last quarter over that in the second, by medians;
- `left_over` is 0 for threads and descriptors, which are counted at rest, before and after;
- `faults_of_the_server` is 0: no answer was a 5xx other than those of overload, and no connection broke.
"""

import asyncio
import contextlib
import json
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from servers import OURS, Server, environment_of, options_for, publish, running
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from model_store.root import BUNDLED
from service.bench import pictures

_STYLE = "muse"
_SIZE = 96
_SHARES = {"good": 75, "enlarged": 5, "leaving": 8, "broken": 5, "damaged": 3, "unknown": 2, "half": 2}
"""Kinds of requests, and how many of a hundred are of each."""
_OVER_S = 90
"""Seconds that an answer may take before the connection is given up as broken."""
_CLOSED_S = 3.0
"""Seconds in which connections are closed after the last answer."""
_IN_FLIGHT = ("impasto_requests_in_flight", "impasto_queued_pictures")
"""Metrics that are 0 at rest."""
_EVERY_S = 2.0
"""Seconds between two looks at the server's memory."""
_MOST_GROWTH = 2.0
"""Largest growth of memory in percent."""
_WITHIN_LIMITS = frozenset({"503", "504"})
"""Statuses from 500 that an overloaded server may answer."""


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
        return Sent(name, paths.get(name, f"/stylize?style={_STYLE}"), body, announced, leaves_after)

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
                await self.send(Sent("peak", f"/stylize?style={_STYLE}", picture, len(picture)))

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
            url = f"{self._url.replace('http', 'ws', 1)}/stylize/live?style={_STYLE}"
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
        if not any(counts[name] for name in _IN_FLIGHT) or time.monotonic() > deadline:
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
        elif name in _IN_FLIGHT:
            counts[name] = int(float(value))
    return counts


def is_fault(status: str) -> bool:
    """Return whether a status, or the name of an error, says that the server failed."""
    return not status.isdecimal() or (status >= "500" and status not in _WITHIN_LIMITS)


def at_rest(server: Server) -> dict[str, int]:
    """Return how many threads and descriptors the server has."""
    process = Path("/proc") / str(server.process.pid)
    return {"threads": len(list((process / "task").iterdir())), "descriptors": len(list((process / "fd").iterdir()))}


def publish_version(store: Path, version: int, *, is_damaged: bool) -> None:
    """Publish the bundled model of the style once more, as another version."""
    newest = max((BUNDLED / "stylize" / _STYLE).iterdir(), key=lambda path: int(path.name))
    with tempfile.TemporaryDirectory(dir=store) as aside:
        copy = shutil.copytree(newest, Path(aside) / str(version))
        card = json.loads((copy / "card.json").read_text()) | {"version": version}
        (copy / "card.json").write_text(json.dumps(card))
        if is_damaged:
            (copy / "model.safetensors").write_bytes(b"no weights")
        copy.rename(store / "stylize" / _STYLE / str(version))


async def throw_faults(server: Server, store: Path, every_s: float) -> None:
    """Publish versions, of which every third is damaged, and stop the server for half a second in between."""
    version = 100
    while True:
        await asyncio.sleep(every_s)
        version += 1
        publish_version(store, version, is_damaged=version % 3 == 0)
        await asyncio.sleep(every_s)
        server.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(0.5)
        server.process.send_signal(signal.SIGCONT)


async def watch(server: Server, samples: list[float]) -> None:
    """Note the server's memory again and again."""
    while True:
        samples.append(round(server.resident_mib(), 1))
        await asyncio.sleep(_EVERY_S)


async def soak(server: Server, store: Path, minutes: float, times: float) -> dict[str, Any]:
    """Load the server, and return what was measured."""
    load, samples = Load(server.url, seed=0), list[float]()
    peak = await load.peak(min(10, minutes * 12), clients=8)
    await load.send_for(min(60, minutes * 12), times * peak)  # everything is used once
    await quiet(server.url)
    before = at_rest(server)
    every_s = min(15.0, minutes * 12)
    around = [asyncio.create_task(watch(server, samples)), asyncio.create_task(throw_faults(server, store, every_s))]
    await load.send_for(minutes * 60, times * peak)
    for task in around:
        task.cancel()
    await asyncio.wait(around)
    server.process.send_signal(signal.SIGCONT)
    counted = await quiet(server.url)
    after = at_rest(server)
    by_status = {status: count for status, count in sorted(counted.items()) if status.isdecimal()}
    quarter = max(1, len(samples) // 4)
    early, late = median(samples[quarter : 2 * quarter] or samples), median(samples[-quarter:])
    return {
        "peak_per_s": round(peak, 1),
        "sent": load.sent,
        "answered": sum(load.statuses.values()),
        "given_up_by_clients": load.left,
        "counted_by_the_server": sum(by_status.values()),
        "unaccounted": load.sent - sum(by_status.values()),
        "answers": dict(sorted(load.statuses.items())),
        "by_the_server": by_status,
        "outcomes": dict(sorted(load.outcomes.items())),
        "in_flight": sum(counted[name] for name in _IN_FLIGHT),
        "faults_of_the_server": sum(count for status, count in load.statuses.items() if is_fault(status)),
        "resident_mib": samples,
        "resident_growth_percent": round(100 * (late / early - 1), 2),
        "left_over": {name: after[name] - before[name] for name in after},
    }


def main() -> None:
    """Measure and print the results as JSON."""
    parser = options_for(__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="minutes of load")
    parser.add_argument("--times", type=float, default=2.0, help="rate of the load, as a multiple of the peak")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        (store / "stylize" / _STYLE).mkdir(parents=True)
        own = {
            "IMPASTO_STORE": folder,
            "IMPASTO_STORE_REFRESH_S": "1",
            "IMPASTO_UPLOAD_TIMEOUT_S": "3",
            "IMPASTO_MODEL_MEMORY_BYTES": "30000000",
        }
        with running(OURS, own | environment_of(options)) as server:
            results = asyncio.run(soak(server, store, options.minutes, options.times))
            results["seconds_to_end"] = round(server.stop(), 2)
    publish(options, results)
    wrong = (results[name] for name in ("unaccounted", "in_flight", "faults_of_the_server"))
    sys.exit(any(wrong) or results["resident_growth_percent"] > _MOST_GROWTH or max(results["left_over"].values()) > 0)


if __name__ == "__main__":
    main()
