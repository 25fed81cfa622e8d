"""Measure how much slower a server is if styles and sizes come in mixed order.

    python tests/benchmarks/mixed_traffic.py --requests 400 --rounds 3

The same requests, for five styles in four sizes of nearly equal area, are sent in two orders: shuffled, and sorted so
that all of one style and size come together and batches are easy to form. The orders take turns at the same server
(mixed, sorted, mixed, …), after a warm-up with every style and size. `mixed_to_sorted` is the ratio of the median
throughputs.
"""

import statistics
import sys

from servers import OURS, environment_of, options_for, publish, running

from service.bench import pictures
from service.bench.processes import measure
from service.bench.workload import Order, Workload, stylize

STYLES = ("muse", "candy", "the-scream", "udnie", "mosaic")
SHAPES = ((1, 1), (4, 3), (3, 4), (16, 9))
ORDERS: tuple[Order, ...] = ("mixed", "sorted")


def main() -> None:
    """Measure and print the results as JSON."""
    parser = options_for(__doc__)
    parser.add_argument("--size", type=int, default=256, help="square root of the area of all sizes, in pixels")
    parser.add_argument("--requests", type=int, default=400, help="requests per order and round; a multiple of 20")
    parser.add_argument("--clients", type=int, default=32, help="number of clients")
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds, each with both orders")
    parser.add_argument("--processes", type=int, default=1, help="number of processes that send")
    options = parser.parse_args()

    kinds = stylize(STYLES, [pictures.make(*sides(options.size, *shape), "jpeg") for shape in SHAPES])
    if options.requests % len(kinds):
        parser.error(f"--requests must be a multiple of {len(kinds)}, for both orders to have the same requests")
    workload = Workload(
        kinds=kinds,
        requests=options.requests,
        concurrency=options.clients,
        processes=options.processes,
        warm_up=0,
    )
    rates: dict[Order, list[float]] = {order: [] for order in ORDERS}
    not_good = 0
    with running(OURS, environment_of(options)) as server:
        measure(server.url, workload.model_copy(update={"requests": 2 * len(kinds)}))
        for _ in range(options.rounds):
            for order in ORDERS:
                report = measure(server.url, workload.model_copy(update={"order": order}))
                rates[order].append(report.pictures_per_s)
                not_good += report.sent - report.good
                print(f"{order:6} {report.pictures_per_s:.2f} pictures/s", file=sys.stderr)
    medians = {order: statistics.median(each) for order, each in rates.items()}
    publish(
        options,
        {
            "kinds": [kind.name for kind in kinds],
            "pictures_per_s": rates,
            "median_pictures_per_s": medians,
            "mixed_to_sorted": medians["mixed"] / medians["sorted"],
            "not_good": not_good,
        },
    )


def sides(size: int, across: int, down: int) -> tuple[int, int]:
    """Return the width and height of a shape, both multiples of 4, with about `size` squared pixels."""
    unit = size / (across * down) ** 0.5
    return 4 * round(across * unit / 4), 4 * round(down * unit / 4)


if __name__ == "__main__":
    main()
