"""The pictures that wait, in buckets of one net and one exact padded size.

Padding two different pictures to one size would change the statistics of InstanceNorm, so only pictures whose padded
sizes are the same make a batch. Nets share the device fairly, by start-time fair queueing (Goyal, Vin and Cheng 1996):
the net that was given the fewest pixels so far goes next, and of its buckets the one whose first picture has waited
longest. A net that had nothing to do does not save up for later.
"""

import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor

from model_store.nets import TransformNet
from service.contract import request_id


class Output(NamedTuple):
    """What became of one picture."""

    pixels: Tensor
    """uint8 RGB on the CPU, `(H·factor, W·factor, 3)`."""
    queue_seconds: float
    net_seconds: float
    """Of the whole batch."""
    batch: int
    """Pictures computed together."""


@dataclass(slots=True)
class Job:
    """A picture for a net, and who waits for the output."""

    net: TransformNet
    pixels: Tensor
    """uint8 RGB on the CPU, `(H, W, 3)`."""
    future: "Future[Output]" = field(default_factory=Future)
    submitted: float = field(default_factory=time.perf_counter)
    request_id: str = field(default_factory=request_id.current.get)

    @property
    def padded_size(self) -> tuple[int, int]:
        """Height and width as the net sees them."""
        height, width, _ = self.pixels.shape
        multiple = self.net.multiple
        return height + -height % multiple, width + -width % multiple

    @property
    def output_pixels(self) -> int:
        """Of the padded picture."""
        height, width = self.padded_size
        return height * width * self.net.factor**2

    @property
    def bytes(self) -> int:
        """That a CPU needs at once to compute it."""
        height, width = self.padded_size
        return height * width * self.net.bytes_per_pixel


@dataclass(slots=True)
class _Share:
    """What waits for one net."""

    spent: int
    """Output pixels that it was given, counted from those of the others when it began to wait."""
    buckets: dict[tuple[int, int], deque[Job]] = field(default_factory=dict)

    @property
    def oldest(self) -> deque[Job]:
        return min(self.buckets.values(), key=lambda jobs: jobs[0].submitted)


class Buckets:
    """Not for several threads at once."""

    def __init__(self) -> None:
        self._shares: dict[int, _Share] = {}
        """By the identity of the net."""
        self._spent_of_last = 0

    def __len__(self) -> int:
        return sum(len(jobs) for share in self._shares.values() for jobs in share.buckets.values())

    def add(self, job: Job) -> None:
        """Puts a picture at the end of its bucket."""
        share = self._shares.setdefault(id(job.net), _Share(self._spent_of_last))
        share.buckets.setdefault(job.padded_size, deque()).append(job)

    @property
    def head(self) -> Job:
        """The picture that is next; there must be one."""
        return self._next_share.oldest[0]

    def take(self, max_batch: int, max_pixels: int, max_bytes: int | None = None) -> list[Job]:
        """Removes and returns the first pictures of one bucket; there must be one.

        Args:
            max_batch: pictures; the cancelled come besides.
            max_pixels: output pixels of several together; a single picture may have more.
            max_bytes: memory of all together; where the first alone needs more, only what is cancelled is returned, so
                that nothing overtakes it.
        """
        share = self._next_share
        jobs = share.oldest
        first = jobs[0]
        room = max(1, min(max_batch, max_pixels // first.output_pixels))
        if max_bytes is not None:
            room = min(room, max_bytes // first.bytes)
        batch: list[Job] = []
        self._spent_of_last = share.spent
        while jobs and (room > 0 or jobs[0].future.cancelled()):
            job = jobs.popleft()
            batch.append(job)
            if not job.future.cancelled():
                room -= 1
                share.spent += job.output_pixels
        if not jobs:
            del share.buckets[first.padded_size]
        if not share.buckets:
            del self._shares[id(first.net)]
        return batch

    @property
    def _next_share(self) -> _Share:
        return min(self._shares.values(), key=lambda each: (each.spent, each.oldest[0].submitted))

    def take_all(self) -> list[Job]:
        """Removes and returns every picture."""
        jobs = [job for share in self._shares.values() for jobs in share.buckets.values() for job in jobs]
        self._shares.clear()
        return jobs
