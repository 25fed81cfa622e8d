"""Measure how long a server takes to start.

    python tests/benchmarks/start_up.py --starts 5

The results are the seconds from starting `impasto serve` until `/readyz` first answers 200, and until a picture that is
sent then is painted, as medians of several starts. The first start is included, although the system may have to read
files from disk that it later has in memory; the times of all starts are printed.
"""

import statistics
import time

import httpx
from servers import OURS, environment_of, options_for, publish, running

from service.bench import pictures
from service.bench.workload import stylize


def main() -> None:
    """Measure and print the results as JSON."""
    parser = options_for(__doc__)
    parser.add_argument("--starts", type=int, default=5, help="number of starts")
    parser.add_argument("--size", type=int, default=256, help="side of the first picture in pixels")
    options = parser.parse_args()

    (kind,) = stylize(["muse"], [pictures.make(options.size, options.size, "jpeg")])
    ready, painted = [], []
    for _ in range(options.starts):
        with running(OURS, environment_of(options)) as server:
            ready.append(server.ready_s)
            answer = httpx.post(
                server.url + kind.path, content=kind.bodies[0], headers={"Content-Type": kind.media_type}, timeout=120
            )
            painted.append(time.perf_counter() - server.started)
            answer.raise_for_status()
    publish(
        options,
        {
            "ready_s": {"median": statistics.median(ready), "all": ready},
            "first_picture_s": {"median": statistics.median(painted), "all": painted},
        },
    )


if __name__ == "__main__":
    main()
