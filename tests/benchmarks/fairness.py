"""Measure how small pictures fare while a large one is painted, and what the large one loses.

    python tests/benchmarks/fairness.py --megapixels 24 --clients 2

Clients paint photos of 256² one after another: first alone, then while a large photo is painted on the same engine.
`latency_ratio` is the ratio of their median latencies, and `large_speed` the share of its speed that the large photo
keeps, compared with being painted alone.
"""

import argparse
import json
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import torch

from model_store.store import BUNDLED, Store
from service.device.allocator import give_back_large_blocks
from service.device.device import capacity_of
from service.engine.engine import Engine
from service.inference import inference_form

SMALL_S = 10
"""Seconds for which small pictures are painted alone."""


def main() -> None:
    """Measure and print the results as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="muse", help="name of a bundled style")
    parser.add_argument("--megapixels", type=float, default=24, help="size of the large photo")
    parser.add_argument("--clients", type=int, default=2, help="number of clients that paint small photos")
    options = parser.parse_args()
    give_back_large_blocks()
    device = torch.device("cpu")
    capacity = capacity_of(device)
    net = inference_form(Store(BUNDLED).open("stylize", options.model).net.eval())
    engine = Engine(device, capacity.batch, capacity.batch_pixels, lanes=capacity.lanes, max_bytes=capacity.net_bytes)
    small = torch.randint(0, 256, (256, 256, 3), dtype=torch.uint8)
    side = int((options.megapixels * 1e6 / 12) ** 0.5)
    large = torch.randint(0, 256, (3 * side, 4 * side, 3), dtype=torch.uint8)

    def paint_small(done: threading.Event) -> list[float]:
        latencies = []
        while not done.is_set():
            started = time.perf_counter()
            engine.submit(net, small).result()
            latencies.append(time.perf_counter() - started)
        return latencies

    def paint_small_while(seconds: float | None) -> tuple[list[float], float]:
        """Paint small photos for some seconds, or while a large one is painted; return latencies and seconds."""
        done = threading.Event()
        started = time.perf_counter()
        with ThreadPoolExecutor(options.clients) as clients:
            works = [clients.submit(paint_small, done) for _ in range(options.clients)]
            if seconds is None:
                engine.submit(net, large).result()
            else:
                time.sleep(seconds)
            took = time.perf_counter() - started
            done.set()
            return [latency for work in works for latency in work.result()], took

    paint_small_while(2)
    alone, _ = paint_small_while(SMALL_S)
    started = time.perf_counter()
    engine.submit(net, large).result()
    large_alone_s = time.perf_counter() - started
    beside, large_beside_s = paint_small_while(None)
    engine.close()
    medians = [1000 * statistics.median(latencies) for latencies in (alone, beside)]
    report = {
        "large": f"{4 * side}×{3 * side}",
        "clients": options.clients,
        "small_alone_ms": round(medians[0], 1),
        "small_beside_ms": round(medians[1], 1),
        "latency_ratio": round(medians[1] / medians[0], 2),
        "large_alone_s": round(large_alone_s, 1),
        "large_beside_s": round(large_beside_s, 1),
        "large_speed": round(large_alone_s / large_beside_s, 2),
    }
    print(json.dumps(report, ensure_ascii=False))


if __name__ == "__main__":
    main()
