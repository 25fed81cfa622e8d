"""Measure what a server does with four times the requests that it can answer.

    python tests/benchmarks/overload.py --size 256 --duration 60 --rounds 3

Each round first measures the peak: the pictures a second that clients get who wait for their answers. Then an open loop
sends four times as many requests at random times, without waiting for answers. There are several rounds, because the
speed of a machine changes; the result is the median of the rounds' ratios. A good server answers about as many pictures
as at its peak (`goodput_to_peak` near 1), refuses the others with 429 within milliseconds, leaves no request without an
answer and needs no more memory. If `sent_late_p99_ms` is large, the sender was too slow: give it more `--processes`.
"""

import sys
import threading
from statistics import median
from typing import Any

from servers import OURS, Server, environment_of, options_for, publish, running

from service.bench import pictures
from service.bench.processes import measure
from service.bench.report import LoadReport
from service.bench.workload import Workload, stylize


class MemoryWatch:
    """A context in which the memory of a server is sampled."""

    def __init__(self, server: Server) -> None:
        self.most_mib = 0.0
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "MemoryWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.5):
            self.most_mib = max(self.most_mib, self._server.resident_mib())


def main() -> None:
    """Measure and print the results as JSON."""
    parser = options_for(__doc__)
    parser.add_argument("--size", type=int, default=256, help="side of the pictures in pixels")
    parser.add_argument("--times", type=float, default=4.0, help="rate of the overload, as a multiple of the peak")
    parser.add_argument("--duration", type=float, default=60.0, help="seconds of each overload")
    parser.add_argument("--clients", type=int, default=32, help="number of clients for the peak")
    parser.add_argument("--peak-duration", type=float, default=20.0, help="seconds of each peak")
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds")
    parser.add_argument("--processes", type=int, default=1, help="number of processes that send")
    options = parser.parse_args()

    kinds = stylize(["muse"], [pictures.make(options.size, options.size, "jpeg")])
    peak_plan = Workload(
        kinds=kinds,
        concurrency=options.clients,
        duration=options.peak_duration,
        processes=options.processes,
        warm_up=3,
    )
    rounds = []
    with running(OURS, environment_of(options)) as server:
        for _ in range(options.rounds):
            peak = measure(server.url, peak_plan).pictures_per_s
            workload = Workload(
                kinds=kinds,
                rate=options.times * peak,
                duration=options.duration,
                processes=options.processes,
                warm_up=0,
            )
            before = server.resident_mib()
            with MemoryWatch(server) as memory:
                report = measure(server.url, workload)
            mib = {"before": before, "most_during": memory.most_mib, "after": server.resident_mib()}
            rounds.append(summary(peak, report, options.duration) | {"resident_mib": mib})
            print(f"peak {peak:.2f}/s, goodput {rounds[-1]['goodput_pictures_per_s']:.2f}/s", file=sys.stderr)
    publish(
        options,
        {
            "goodput_to_peak": median(each["goodput_to_peak"] for each in rounds),
            "refused_p99_ms": max(each["refused_p99_ms"] for each in rounds),
            "all_answered": all(each["sent"] == each["answered"] for each in rounds),
            "rounds": rounds,
        },
    )


def summary(peak: float, report: LoadReport, duration: float) -> dict[str, Any]:
    """Return the figures of one overload."""
    return {
        "peak_pictures_per_s": peak,
        "goodput_pictures_per_s": report.pictures_per_s,
        "goodput_to_peak": report.pictures_per_s / peak,
        "good_p99_ms": report.latency_ms.p99 if report.latency_ms else None,
        "refused_share": report.shed_share,
        "refused_p99_ms": report.shed_ms.p99 if report.shed_ms else 0.0,
        "other_answers": report.other_answers,
        "transport_errors": report.transport_errors,
        "sent_per_s": report.sent / duration,
        "sent": report.sent,
        "answered": report.answered,
        "sent_late_p99_ms": report.late_ms.p99 if report.late_ms else None,
    }


if __name__ == "__main__":
    main()
