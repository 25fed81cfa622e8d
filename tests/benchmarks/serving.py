"""Measure the throughput and latency of Impasto's server, compared with two peers.

    python tests/benchmarks/serving.py --size 256 --size 1024 --clients 1 --clients 16 --rounds 3

The peers (see their files) are a FastAPI server as written by hand, and LitServe with batches of up to 16, which is
left out unless it is installed (`pip install litserve`). They have the same weights and the same device. Each turn
starts one server afresh, alone on the machine, and loads it with clients that each wait for their answers. The servers
take turns (A B C, A B C, …), so that a change in the machine's speed concerns all of them alike. The results are
medians over the rounds, and the ratios of Impasto's server to the better peer: a throughput above 1 and a latency below
1 are in Impasto's favour. After each turn, the results so far are written to the file of `--json`.
"""

import importlib.util
import itertools
import statistics
import sys
from collections import defaultdict
from typing import Any

from servers import HANDWRITTEN, LITSERVE, OURS, environment_of, options_for, publish, running, write

from service.bench import pictures
from service.bench.processes import measure
from service.bench.report import LoadReport
from service.bench.workload import Workload, stylize

Turns = dict[tuple[int, int], dict[str, list[LoadReport]]]
"""The reports by size and number of clients, and by server."""


def main() -> None:
    """Measure and print the results as JSON."""
    parser = options_for(__doc__)
    parser.add_argument("--size", type=int, action="append", help="side of the pictures; repeatable; default: 256")
    parser.add_argument("--clients", type=int, action="append", help="number of clients; repeatable; default: 1 and 16")
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds, each with all servers")
    parser.add_argument("--duration", type=float, default=10.0, help="seconds of each measurement")
    parser.add_argument("--warm-up", type=float, default=3.0, help="seconds of load before each measurement")
    parser.add_argument("--processes", type=int, default=1, help="processes that send, at most one for each client")
    parser.add_argument("--light", action="store_true", help="have Impasto's server paint with the light net")
    parser.add_argument("--litserve-workers", type=int, default=1, help="workers of LitServe per device")
    options = parser.parse_args()
    options.size, options.clients = options.size or [256], options.clients or [1, 16]

    servers = [(OURS, environment_of(options)), (HANDWRITTEN, {})]
    if importlib.util.find_spec("litserve") is None:
        print("the peer LitServe is left out; install it with: pip install litserve", file=sys.stderr)
    else:
        command = (*LITSERVE.command, "--workers", str(options.litserve_workers))
        servers.append((LITSERVE._replace(command=command), {}))
    chosen = {size: pictures.make(size, size, "jpeg") for size in options.size}
    turns: Turns = defaultdict(lambda: defaultdict(list))
    for _ in range(options.rounds):
        for program, environment in servers:
            with running(program, environment) as server:
                for size, clients in itertools.product(options.size, options.clients):
                    style = "muse-light" if options.light and program is OURS else "muse"
                    workload = Workload(
                        kinds=stylize([style], [chosen[size]]),
                        concurrency=clients,
                        duration=options.duration,
                        warm_up=options.warm_up,
                        processes=min(options.processes, clients),
                    )
                    report = measure(server.url, workload)
                    turns[size, clients][program.name].append(report)
                    print(
                        f"{program.name:12} {size:4}² {clients:3} clients  {report.pictures_per_s:.2f}/s",
                        file=sys.stderr,
                        flush=True,
                    )
            write(options, results_of(turns))
    publish(options, results_of(turns))


def results_of(turns: Turns) -> dict[str, Any]:
    """Return the comparison of the servers under each load so far."""
    loads = [{"size": size, "clients": clients} | compare(each) for (size, clients), each in turns.items()]
    return {"loads": loads}


def compare(reports: dict[str, list[LoadReport]]) -> dict[str, Any]:
    """Return the medians of each server, and the ratio of each figure of ours to the better peer's."""
    figures = {name: medians(each) for name, each in reports.items()}
    ours, *peers = figures.values()
    if not peers:
        return figures
    return figures | {
        "ours_to_better_peer": {
            "pictures_per_s": ratio(ours["pictures_per_s"], max(peer["pictures_per_s"] for peer in peers)),
            "p50_ms": ratio(ours["p50_ms"], min(peer["p50_ms"] for peer in peers)),
            "p99_ms": ratio(ours["p99_ms"], min(peer["p99_ms"] for peer in peers)),
        }
    }


def medians(reports: list[LoadReport]) -> dict[str, Any]:
    """Return the medians over the rounds, each round's throughput, and the number of requests without a picture."""
    latencies = [report.latency_ms for report in reports if report.latency_ms]
    return {
        "pictures_per_s": statistics.median(report.pictures_per_s for report in reports),
        "p50_ms": statistics.median(latency.p50 for latency in latencies),
        "p99_ms": statistics.median(latency.p99 for latency in latencies),
        "rounds": [round(report.pictures_per_s, 2) for report in reports],
        "not_good": sum(report.sent - report.good for report in reports),
    }


def ratio(ours: float, peer: float) -> float:
    """Return the ratio, rounded to three decimals."""
    return round(ours / peer, 3)


if __name__ == "__main__":
    main()
