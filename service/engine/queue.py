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
from service.inference import pieces
from service.inference.tiles import is_tiled


class Output(NamedTuple):
    """The result of one picture."""

    pixels: Tensor
    """Picture as uint8 RGB on the CPU, `(H·factor, W·factor, 3)`."""
    queue_seconds: float
    """Seconds from the submission of the picture to the start of its batch, and those in which it was paused later."""
    net_seconds: float
    """Seconds that the whole batch took, without those in which it was paused for others."""
    batch: int
    """Number of pictures that were computed together."""


class OutputFuture(Future[Output]):
    """The future of an output, which remembers that it was cancelled even if its picture was being computed."""

    is_unwanted = False
    """Whether the future was cancelled, in time or not."""

    def cancel(self) -> bool:
        """Cancel the future if its picture is not being computed yet; see `concurrent.futures.Future.cancel`."""
        self.is_unwanted = True
        return super().cancel()


@dataclass(slots=True)
class QueuedPicture:
    """A picture that waits for a net, and the future of its output."""

    net: TransformNet
    pixels: Tensor
    """Picture as uint8 RGB on the CPU, `(H, W, 3)`."""
    future: OutputFuture = field(default_factory=OutputFuture)
    submitted: float = field(default_factory=time.perf_counter)
    """Time of the submission, in seconds of `time.perf_counter`."""
    request_id: str = field(default_factory=request_id.current.get)
    on_progress: pieces.OnProgress = field(default_factory=pieces.on_progress.get)
    is_large: bool = field(init=False)
    """Whether the picture is computed in pieces; a net that becomes another meanwhile does not change it."""

    def __post_init__(self) -> None:
        """Decide once where the picture waits."""
        self.is_large = self.net.is_large(*self.padded_size) or is_tiled(self.net, *self.padded_size)

    @property
    def padded_size(self) -> tuple[int, int]:
        """Height and width in pixels, padded to multiples of the net's `multiple`."""
        height, width, _ = self.pixels.shape
        multiple = self.net.multiple
        return height + -height % multiple, width + -width % multiple

    @property
    def output_pixels(self) -> int:
        """Number of pixels that the net makes of the padded picture."""
        height, width = self.padded_size
        return height * width * self.net.factor**2

    @property
    def bytes(self) -> int:
        """Bytes of memory that a CPU needs at once to compute the picture."""
        return self.net.bytes_needed(*self.padded_size)


@dataclass(slots=True)
class _Share:
    """The pictures that wait for one net, and the net's share of the device."""

    spent: int
    """Output pixels that the net was given; the count of a net that joins starts at that of the net served last."""
    buckets: dict[tuple[int, int], deque[QueuedPicture]] = field(default_factory=dict)

    @property
    def oldest(self) -> deque[QueuedPicture]:
        """Bucket whose first picture has waited longest."""
        return min(self.buckets.values(), key=lambda bucket: bucket[0].submitted)


class Buckets:
    """The buckets of all pictures that wait; only one thread may use them at a time."""

    def __init__(self) -> None:
        self._shares: dict[int, _Share] = {}
        """Shares of the nets that pictures wait for, by the `id` of the net."""
        self._spent_of_last = 0
        """Output pixels that the net served last had been given before that turn; a net that joins starts there."""

    def __len__(self) -> int:
        return sum(len(bucket) for share in self._shares.values() for bucket in share.buckets.values())

    def add(self, picture: QueuedPicture) -> None:
        """Put a picture at the end of its bucket."""
        share = self._shares.setdefault(id(picture.net), _Share(self._spent_of_last))
        share.buckets.setdefault(picture.padded_size, deque()).append(picture)

    @property
    def head(self) -> QueuedPicture:
        """Picture whose turn is next; at least one must wait."""
        return self._next_share.oldest[0]

    def take(self, max_batch: int, max_pixels: int, max_bytes: int | None = None) -> list[QueuedPicture]:
        """Remove and return the first pictures of the bucket whose turn is next; at least one picture must wait.

        Args:
            max_batch: Largest number of pictures; cancelled ones are returned besides and do not count.
            max_pixels: Largest number of output pixels of several pictures together; a single one may have more.
            max_bytes: Bytes of memory for all pictures together, or None for no limit. If a picture alone needs more,
                only cancelled ones at the front are returned, so that nothing overtakes it.
        """
        share = self._next_share
        pictures = share.oldest
        first = pictures[0]
        room = max(1, min(max_batch, max_pixels // first.output_pixels))
        if max_bytes is not None:
            room = min(room, max_bytes // first.bytes)
        batch: list[QueuedPicture] = []
        self._spent_of_last = share.spent
        while pictures and (room > 0 or pictures[0].future.cancelled()):
            picture = pictures.popleft()
            batch.append(picture)
            if not picture.future.cancelled():
                room -= 1
                share.spent += picture.output_pixels
        if not pictures:
            del share.buckets[first.padded_size]
        if not share.buckets:
            del self._shares[id(first.net)]
        return batch

    @property
    def _next_share(self) -> _Share:
        """Share of the net that was given the fewest output pixels so far."""
        return min(self._shares.values(), key=lambda each: (each.spent, each.oldest[0].submitted))

    def take_cancelled(self) -> list[QueuedPicture]:
        """Remove and return the pictures that are cancelled."""
        cancelled: list[QueuedPicture] = []
        for net, share in list(self._shares.items()):
            for size, pictures in list(share.buckets.items()):
                cancelled += [each for each in pictures if each.future.cancelled()]
                share.buckets[size] = deque(each for each in pictures if not each.future.cancelled())
                if not share.buckets[size]:
                    del share.buckets[size]
            if not share.buckets:
                del self._shares[net]
        return cancelled

    def take_all(self) -> list[QueuedPicture]:
        """Remove and return every picture."""
        pictures = [each for share in self._shares.values() for bucket in share.buckets.values() for each in bucket]
        self._shares.clear()
        return pictures
