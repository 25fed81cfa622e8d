"""Load a server with twice what it can answer for an hour, throw faults in, and count what became of each request.

    python tests/benchmarks/soak.py --minutes 60

Requests come at random times, at twice the rate of the server's peak. Most are good; others have a broken or damaged
picture, an unknown style, an upload that stops half-way, or a client that leaves; live connections are opened and left
as well. Meanwhile new versions of a model are published, one of them damaged, and the server is stopped for half a
second now and then, as when its clock jumps. The same load, faults included, warms the server up before, because nets,
pools of threads and caches take their place when they are first used. At the end:

- `unaccounted` is 0: the server counted as many requests as were sent, and each was answered or given up by its client;
- `resident_growth_percent` is small: memory in the last quarter over that in the second, by medians;
- `left_over` is 0 for descriptors, which are counted at rest, before and after, and for threads, of which the second
  half of the time may not have more than the first;
- `faults_of_the_server` is 0: no answer was a 5xx other than those of overload, and no connection broke.
"""

import asyncio
import contextlib
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from servers import OURS, Server, environment_of, options_for, publish, running
from soak_load import IN_FLIGHT, STYLE, Load, quiet
from steadiness import Sample, growth_percent, more_threads, plot

from model_store.root import BUNDLED

_EVERY_S = 1.0
"""Seconds between two looks at the server."""
_PEAK_S, _WARM_UP_S = 10.0, 90.0
"""Seconds in which the peak is measured, and in which the server is warmed up, or shorter if the load is short."""
_FAULTS_EVERY_S = 15.0
"""Seconds between two faults, or fewer if the load is short."""
_MOST_GROWTH = 2.0
"""Largest growth of memory in percent."""
_MODEL_BYTES = 90_000_000
"""Bytes of the nets that are kept: those of the load and one version more, so that each new version drops one."""
_MOST_PIXELS = 20_000
"""Largest number of pixels of a picture: a damaged header may name any size, and memory would follow the largest."""
_WITHIN_LIMITS = frozenset({"503", "504"})
"""Statuses from 500 that an overloaded server may answer."""


def is_fault(status: str) -> bool:
    """Return whether a status, or the name of an error, says that the server failed."""
    return not status.isdecimal() or (status >= "500" and status not in _WITHIN_LIMITS)


def number_of(server: Server, folder: str) -> int:
    """Return the number of the server's threads, by the folder `task`, or of its descriptors, by the folder `fd`."""
    return len(list((Path("/proc") / str(server.process.pid) / folder).iterdir()))


class Versions:
    """The versions of a model that are published in a store, of which every third is damaged.

    Args:
        store: Folder of the store.
    """

    def __init__(self, store: Path) -> None:
        self._folder = store / "stylize" / STYLE
        self._folder.mkdir(parents=True)
        self._newest = 100

    def publish(self) -> None:
        """Publish the bundled model of the style once more, as the next version."""
        self._newest += 1
        bundled = max((BUNDLED / "stylize" / STYLE).iterdir(), key=lambda path: int(path.name))
        with tempfile.TemporaryDirectory(dir=self._folder.parents[1]) as aside:
            copy = shutil.copytree(bundled, Path(aside) / str(self._newest))
            card = json.loads((copy / "card.json").read_text()) | {"version": self._newest}
            (copy / "card.json").write_text(json.dumps(card))
            if self._newest % 3 == 0:
                (copy / "model.safetensors").write_bytes(b"no weights")
            copy.rename(self._folder / str(self._newest))


@asynccontextmanager
async def faults(server: Server, versions: Versions, every_s: float) -> AsyncIterator[None]:
    """Publish versions, and stop the server for half a second in between, during the `with` block."""

    async def throw() -> None:
        while True:
            await asyncio.sleep(every_s)
            versions.publish()
            await asyncio.sleep(every_s)
            server.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(0.5)
            server.process.send_signal(signal.SIGCONT)

    throwing = asyncio.create_task(throw())
    try:
        yield
    finally:
        throwing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await throwing
        server.process.send_signal(signal.SIGCONT)


async def watch(server: Server, samples: list[Sample]) -> None:
    """Look at the server again and again."""
    while True:
        samples.append(Sample(round(server.resident_mib(), 1), number_of(server, "task")))
        await asyncio.sleep(_EVERY_S)


async def soak(server: Server, versions: Versions, minutes: float, times: float) -> dict[str, Any]:
    """Load the server, and return what was measured."""
    load, samples = Load(server.url, seed=0), list[Sample]()
    short_s = minutes * 15
    peak = await load.peak(min(_PEAK_S, short_s), clients=8)
    async with faults(server, versions, min(_FAULTS_EVERY_S, short_s / 4)):
        await load.send_for(min(_WARM_UP_S, short_s), times * peak)
    await quiet(server.url)
    descriptors = number_of(server, "fd")
    watching = asyncio.create_task(watch(server, samples))
    async with faults(server, versions, min(_FAULTS_EVERY_S, short_s / 4)):
        await load.send_for(minutes * 60, times * peak)
    watching.cancel()
    counted = await quiet(server.url)
    by_status = {status: count for status, count in sorted(counted.items()) if status.isdecimal()}
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
        "in_flight": sum(counted[name] for name in IN_FLIGHT),
        "faults_of_the_server": sum(count for status, count in load.statuses.items() if is_fault(status)),
        "resident_mib": [each.resident_mib for each in samples],
        "resident_growth_percent": round(growth_percent(samples), 2),
        "left_over": {"threads": more_threads(samples), "descriptors": number_of(server, "fd") - descriptors},
    }


def summary(results: dict[str, Any]) -> str:
    """Return the counts, which add up, and a plot of the memory."""
    return (
        "{sent:,} sent = {answered:,} answered + {given_up_by_clients:,} given up by their clients; the server counted "
        "{counted_by_the_server:,}\n".format(**results)
        + f"memory {plot(results['resident_mib'])}, {results['resident_growth_percent']:+.2f} % from the second "
        f"quarter to the last; left over {results['left_over']}"
    )


def main() -> None:
    """Measure, print a summary, and print the results as JSON."""
    parser = options_for(__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="minutes of load")
    parser.add_argument("--times", type=float, default=2.0, help="rate of the load, as a multiple of the peak")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        versions = Versions(Path(folder))
        own = {
            "IMPASTO_STORE": folder,
            "IMPASTO_UPLOAD_TIMEOUT_S": "3",
            "IMPASTO_MAX_UPLOAD_PIXELS": str(_MOST_PIXELS),
            "IMPASTO_MODEL_MEMORY_BYTES": str(_MODEL_BYTES),
        }
        with running(OURS, own | environment_of(options)) as server:
            results = asyncio.run(soak(server, versions, options.minutes, options.times))
            results["seconds_to_end"] = round(server.stop(), 2)
    publish(options, results)
    print(summary(results), file=sys.stderr)
    wrong = (results[name] for name in ("unaccounted", "in_flight", "faults_of_the_server"))
    sys.exit(any(wrong) or results["resident_growth_percent"] > _MOST_GROWTH or max(results["left_over"].values()) > 0)


if __name__ == "__main__":
    main()
