"""Measure how small pictures fare while a large one is computed, and what the large one loses.

    python tests/benchmarks/fairness.py --megapixels 24 --clients 2 --load 0.2

Clients each have a photo of 256² painted, think for a while, and ask again. They think for random times, so that
requests come at any moment, of such a mean that all clients together ask for `--load` of the pictures that the device
can paint. It is a fifth by default, because the large picture is to keep two thirds of its speed: whoever asks for more
than the other third waits for its share, however quickly the device changes over. `--load 1` measures that: the clients
then do not think.

Their latencies are measured three times:

- alone, on a device that has nothing else to do;
- beside small pictures of the same load: what the large picture would do is replaced by small ones, which further
  clients ask for without thinking, as many clients as the device computes batches at a time. So the device is never
  idle, as beside the large picture, and every request finds others before it;
- beside the large picture.

`latency_ratio` is the median latency beside the large picture divided by that beside small ones, and `large_speed` the
share of its speed that the large picture keeps, compared with being computed alone. `large_paused` is the share of its
time for which the engine paused it for others. `small_per_s` tells how many pictures the clients got in a second. Of
several rounds, in each of which everything is measured once, the latencies count together, and the median seconds.
"""

import argparse
import random
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import torch
from servers import publish
from torch import Tensor

from model_store.nets import TransformNet
from model_store.store import BUNDLED, Store
from service.device.allocator import give_back_large_blocks
from service.device.device import capacity_of, choose_device, share_cores
from service.engine.engine import Engine
from service.engine.queue import Output
from service.inference import inference_form

_WARM_UP_S = 2.0


class Fared(NamedTuple):
    """How the clients fared during a measurement."""

    latencies: list[float]
    """Seconds from each request to its answer."""
    seconds: float
    """Seconds that the measurement took."""

    @classmethod
    def of_all(cls, measured: Sequence["Fared"]) -> "Fared":
        """Return several measurements as one."""
        return cls([each for fared in measured for each in fared.latencies], sum(fared.seconds for fared in measured))

    @property
    def median_ms(self) -> float:
        """Median latency in milliseconds."""
        return 1000 * statistics.median(self.latencies)

    @property
    def per_s(self) -> float:
        """Pictures that the clients got in a second."""
        return len(self.latencies) / self.seconds


class Clients:
    """Clients that have small pictures painted by an engine.

    Args:
        engine: Engine that paints.
        net: Net that paints.
        number: Number of clients.
        think_s: Mean seconds between an answer and the next request of the same client.
    """

    def __init__(self, engine: Engine, net: TransformNet, number: int, think_s: float) -> None:
        self._engine, self._net = engine, net
        self._number, self._think_s = number, think_s
        self._picture = noise(256, 256)

    def ask_until(self, done: threading.Event) -> Fared:
        """Ask for pictures until the event is set."""
        started = time.perf_counter()
        with ThreadPoolExecutor(self._number) as threads:
            latencies = list(chain.from_iterable(threads.map(lambda each: self._ask(each, done), range(self._number))))
        return Fared(latencies, time.perf_counter() - started)

    def ask_for(self, seconds: float) -> Fared:
        """Ask for pictures for some seconds."""
        done = threading.Event()
        threading.Timer(seconds, done.set).start()
        return self.ask_until(done)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Ask for pictures while the block of the `with` statement runs."""
        done = threading.Event()
        asking = threading.Thread(target=self.ask_until, args=[done])
        asking.start()
        try:
            yield
        finally:
            done.set()
            asking.join()

    def _ask(self, number: int, done: threading.Event) -> list[float]:
        thoughts = random.Random(number)  # noqa: S311
        latencies = []
        while not done.is_set():
            if self._think_s and done.wait(thoughts.expovariate(1 / self._think_s)):
                break
            started = time.perf_counter()
            self._engine.submit(self._net, self._picture).result()
            latencies.append(time.perf_counter() - started)
        return latencies


def main() -> None:
    """Measure and print the results as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", default="stylize/muse", help="task and name of the model of the large picture")
    parser.add_argument("--megapixels", type=float, default=24, help="size of the large picture")
    parser.add_argument("--clients", type=int, default=2, help="number of clients")
    parser.add_argument("--load", type=float, default=0.2, help="share of the device that the clients ask for")
    parser.add_argument("--rounds", type=int, default=1, help="number of rounds")
    parser.add_argument("--duration", type=float, default=20, help="seconds of each measurement without large pictures")
    parser.add_argument("--json", type=Path, metavar="FILE", help="file to write the printed JSON to as well")
    options = parser.parse_args()

    device = choose_device("auto")
    share_cores()
    if device.type == "cpu":
        give_back_large_blocks()
    capacity = capacity_of(device)
    engine = Engine(device, capacity.batch, capacity.batch_pixels, lanes=capacity.lanes, max_bytes=capacity.net_bytes)
    small_net, large_net = (open_net(name, device) for name in ("stylize/muse", options.large))
    unit = (options.megapixels * 1e6 / 12) ** 0.5
    large = noise(round(3 * unit), round(4 * unit))
    others = Clients(engine, small_net, capacity.lanes, 0)
    others.ask_for(_WARM_UP_S)
    rate = options.load * others.ask_for(_WARM_UP_S).per_s
    clients = Clients(engine, small_net, options.clients, options.clients / rate if options.load < 1 else 0)

    rounds = [measure(engine, clients, others, large_net, large, options.duration) for _ in range(options.rounds)]
    engine.close()
    alone, beside_small, beside_large = (
        Fared.of_all(each) for each in zip(*(each.small for each in rounds), strict=True)
    )
    large_alone_s, large_beside_s, large_paused_s = (
        statistics.median(each) for each in zip(*(each.large_s for each in rounds), strict=True)
    )
    publish(
        options,
        {
            "large_size": f"{large.shape[1]}×{large.shape[0]}",
            "small_alone_ms": round(alone.median_ms, 1),
            "small_beside_small_ms": round(beside_small.median_ms, 1),
            "small_beside_large_ms": round(beside_large.median_ms, 1),
            "latency_ratio": round(beside_large.median_ms / beside_small.median_ms, 2),
            "small_per_s": {
                "alone": round(alone.per_s, 2),
                "beside_small": round(beside_small.per_s, 2),
                "beside_large": round(beside_large.per_s, 2),
            },
            "large_alone_s": round(large_alone_s, 1),
            "large_beside_s": round(large_beside_s, 1),
            "large_speed": round(large_alone_s / large_beside_s, 2),
            "large_paused": round(large_paused_s / large_beside_s, 2),
        },
    )


class Round(NamedTuple):
    """What was measured in one round."""

    small: tuple[Fared, Fared, Fared]
    """How clients fared alone, beside small pictures, and beside a large one."""
    large_s: tuple[float, float, float]
    """Seconds of the large picture alone, of the one beside small pictures, and those in which the latter waited."""


def measure(
    engine: Engine, clients: Clients, others: Clients, large_net: TransformNet, large: Tensor, duration: float
) -> Round:
    """Measure one round; `duration` is the seconds of each measurement without large pictures."""
    alone = clients.ask_for(duration)
    with others.asking():
        beside_small = clients.ask_for(duration)
    large_alone = engine.submit(large_net, large).result()
    computed = threading.Event()
    future = engine.submit(large_net, large)
    future.add_done_callback(lambda _: computed.set())
    beside_large = clients.ask_until(computed)
    large_beside = future.result()
    return Round(
        (alone, beside_small, beside_large),
        (seconds_of(large_alone), seconds_of(large_beside), large_beside.queue_seconds),
    )


def open_net(model: str, device: torch.device) -> TransformNet:
    """Return the bundled net of a task and a name, `task/name`, in the form that serves."""
    return inference_form(Store(BUNDLED).open(*model.split("/")).net.eval().to(device))


def noise(height: int, width: int) -> Tensor:
    """Return a picture of noise as uint8 RGB, `(H, W, 3)`."""
    return torch.randint(0, 256, (height, width, 3), dtype=torch.uint8)


def seconds_of(output: Output) -> float:
    """Return the seconds from the submission of a picture to its result."""
    return output.queue_seconds + output.net_seconds


if __name__ == "__main__":
    main()
