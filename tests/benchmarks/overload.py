"""What our server does with four times the requests that it can answer.

    python tests/benchmarks/overload.py --size 256 --duration 60

First the peak: the most pictures a second that clients get who wait for their answers. Then an open loop sends four
times as many requests, at random times, whatever comes back. A good server keeps answering about as many as at its peak
(`goodput_to_peak` near 1), refuses the rest with 429 within milliseconds, answers every request and takes no more
memory. Where `sent_late_p99_ms` is large the sender was too slow: give it `--processes`.
"""

import sys
import threading

from servers import OURS, Server, environment_of, options_for, publish, running

from service.bench import pictures
from service.bench.plan import Plan, stylize
from service.bench.processes import measure


class MemoryWatch:
    """Samples the memory of a server while it is entered."""

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
    """Measures and prints JSON."""
    parser = options_for(__doc__)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--times", type=float, default=4.0, help="the peak")
    parser.add_argument("--duration", type=float, default=60.0, help="seconds of the overload")
    parser.add_argument("--clients", type=int, action="append", help="for the peak; repeatable; default: 16, 32 and 64")
    parser.add_argument("--peak-duration", type=float, default=10.0, help="seconds for each")
    parser.add_argument("--processes", type=int, default=1, help="that send")
    options = parser.parse_args()
    options.clients = options.clients or [16, 32, 64]

    kinds = stylize(["muse"], [pictures.make(options.size, options.size, "jpeg")])
    with running(OURS, environment_of(options)) as server:
        rates = {}
        for clients in options.clients:
            plan = Plan(
                kinds=kinds, concurrency=clients, duration=options.peak_duration, processes=options.processes, warm_up=3
            )
            rates[clients] = measure(server.url, plan).pictures_per_s
            print(f"{clients} clients: {rates[clients]:.2f} pictures/s", file=sys.stderr)
        peak = max(rates.values())
        plan = Plan(
            kinds=kinds,
            rate=options.times * peak,
            duration=options.duration,
            processes=options.processes,
            warm_up=0,
        )
        before = server.resident_mib()
        with MemoryWatch(server) as memory:
            report = measure(server.url, plan)
        after = server.resident_mib()
    publish(
        options,
        {
            "pictures_per_s_by_clients": rates,
            "peak_pictures_per_s": peak,
            "sent_per_s": report.sent / options.duration,
            "goodput_pictures_per_s": report.pictures_per_s,
            "goodput_to_peak": report.pictures_per_s / peak,
            "good_p99_ms": report.latency_ms.p99 if report.latency_ms else None,
            "refused_share": report.shed_share,
            "refused_p99_ms": report.shed_ms.p99 if report.shed_ms else None,
            "other_answers": report.other_answers,
            "transport_errors": report.transport_errors,
            "sent": report.sent,
            "answered": report.answered,
            "all_answered": report.sent == report.answered,
            "sent_late_p99_ms": report.late_ms.p99 if report.late_ms else None,
            "resident_mib": {"before": before, "most_during": memory.most_mib, "after": after},
        },
    )


if __name__ == "__main__":
    main()
