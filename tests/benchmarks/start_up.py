"""How long our server takes to start.

    python tests/benchmarks/start_up.py --starts 5

Seconds from starting `impasto serve` until `/readyz` first answers 200, and until the first picture is painted that is
sent then: medians of several starts. The first start, which finds files that the system has not read yet, is among them
and printed like all.
"""

import statistics
import time

import httpx
from servers import OURS, environment_of, options_for, publish, running

from service.bench import pictures
from service.bench.workload import stylize


def main() -> None:
    """Measures and prints JSON."""
    parser = options_for(__doc__)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--size", type=int, default=256, help="of the first picture")
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
