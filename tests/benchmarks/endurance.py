"""Measure what a server has left over after ten thousand requests, some of them broken and some abandoned.

    python tests/benchmarks/endurance.py --requests 10000

The requests are small pictures in several styles and sizes. One in twenty has a broken upload, and for one in twenty
the client closes the connection before the answer comes. Memory is measured for the whole process tree, after a tenth
of the requests, when everything was used once, and at the end. Two figures show that no request is left in flight: at
the end the server still takes as many requests at the same time as at the beginning, and it ends soon after SIGTERM,
although it first finishes the requests in flight.
"""

import asyncio
import io
import random
import time
from collections import Counter
from collections.abc import Sequence

import aiohttp
from servers import OURS, Server, environment_of, options_for, publish, running

from service.bench import pictures
from service.bench.workload import Kind, stylize

STYLES = ("muse", "candy", "udnie")
SIZES = ((32, 32), (48, 32), (64, 48), (80, 80))
BROKEN, LEAVING = 0.05, 0.05


class Clients:
    """Clients that send good, broken and abandoned requests, and count the outcomes."""

    def __init__(self, session: aiohttp.ClientSession, kinds: Sequence[Kind], seed: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self._session = session
        self._kinds = kinds
        self._random = random.Random(seed)  # noqa: S311
        self._usual_s = 0.05
        """Seconds that the last good answer took; a request is abandoned at a random moment within that time."""

    async def send(self, count: int, concurrency: int) -> None:
        """Send `count` requests by `concurrency` clients, each of which sends one after the other."""
        left = iter(range(count))

        async def client() -> None:
            for _ in left:
                await self._send_one()

        await asyncio.gather(*(client() for _ in range(concurrency)))

    async def burst(self, count: int) -> int:
        """Send so many good requests at the same time, and return how many were refused."""
        kind = self._kinds[-1]
        # Bytes after the end of the picture make the requests different, because equal ones would be computed once.
        bodies = [kind.bodies[0] + number.to_bytes(4, "big") for number in range(count)]
        statuses = await asyncio.gather(*(self._post(kind, body) for body in bodies))
        return sum(status != 200 for status in statuses)

    async def _send_one(self) -> None:
        kind = self._random.choice(self._kinds)
        body = self._random.choice(kind.bodies)
        fate = self._random.random()
        if fate < BROKEN:
            body = body[: self._random.randrange(1, len(body) // 2)]
            self.outcomes[f"broken: {await self._post(kind, body)}"] += 1
        elif fate < BROKEN + LEAVING:
            try:
                async with asyncio.timeout(self._random.uniform(0, self._usual_s)):
                    await self._post(kind, body)
            except TimeoutError:
                self.outcomes["left"] += 1
            else:
                self.outcomes["meant to leave, answered before"] += 1
        else:
            sent = time.perf_counter()
            self.outcomes[f"good: {await self._post(kind, body)}"] += 1
            self._usual_s = time.perf_counter() - sent

    async def _post(self, kind: Kind, body: bytes) -> int:
        async with self._session.post(
            kind.path, data=io.BytesIO(body), headers={"Content-Type": kind.media_type}
        ) as response:
            await response.read()
            return response.status


async def wear(server: Server, requests: int, concurrency: int, at_once: int) -> dict[str, object]:
    """Send all requests and return what was measured."""
    kinds = stylize(STYLES, [pictures.make(*size, "jpeg") for size in SIZES])
    async with aiohttp.ClientSession(
        server.url, connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=3)
    ) as session:
        clients = Clients(session, kinds, seed=0)
        await clients.send(requests // 10, concurrency)
        refused_early = await clients.burst(at_once)
        early = server.resident_mib()
        await clients.send(requests - requests // 10, concurrency)
        refused_late = await clients.burst(at_once)
        late = server.resident_mib()
        async with session.get("/livez") as response:
            livez = response.status
    return {
        "outcomes": dict(sorted(clients.outcomes.items())),
        "resident_mib": {"after_a_tenth": early, "at_the_end": late, "growth_percent": 100 * (late / early - 1)},
        "refused_of_a_burst": {"after_a_tenth": refused_early, "at_the_end": refused_late},
        "livez": livez,
    }


def main() -> None:
    """Measure and print the results as JSON."""
    parser = options_for(__doc__)
    parser.add_argument("--requests", type=int, default=10_000, help="number of requests")
    parser.add_argument("--clients", type=int, default=16, help="number of clients")
    parser.add_argument("--at-once", type=int, default=64, help="requests at the same time (IMPASTO_MAX_IN_FLIGHT)")
    options = parser.parse_args()
    environment = {"IMPASTO_MAX_IN_FLIGHT": str(options.at_once)} | environment_of(options)
    with running(OURS, environment) as server:
        results = asyncio.run(wear(server, options.requests, options.clients, options.at_once))
        results["seconds_to_end"] = server.stop()
    publish(options, results)


if __name__ == "__main__":
    main()
