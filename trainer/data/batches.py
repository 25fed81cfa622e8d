"""The batches of a run, each of which is determined by the seed and the step alone.

A resumed run therefore sees what an uninterrupted one would have seen, batches can be prepared ahead of their step, and
each of several processes can take its part of a batch.
"""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from trainer.data.squares import Squares
from trainer.errors import BadPhotos

_STREAMING_WORKERS = min(16, os.cpu_count() or 1)


class Batch(NamedTuple):
    """The pictures that one step is trained on, each with a random number."""

    pictures: Tensor
    """Float RGB in [0, 1], `(N, 3, S, S)`; with more channels where other pictures belong to the photos."""
    chance: Tensor
    """Uniform random number in [0, 1) for each picture, `(N,)`, from which an objective may draw what it needs."""


class View(NamedTuple):
    """A square part of a photo, turned and mirrored."""

    number: int
    """Number of the photo, counted from 0."""
    left: int
    """Distance of the part from the left edge of the photo, in pixels."""
    top: int
    """Distance of the part from the top edge of the photo, in pixels."""
    side: int
    """Side of the part, in pixels of the photo."""
    way: int
    """Number of quarter turns, 0 to 3; 4 more if the part is mirrored after them."""


class Views:
    """The random choice of the views of each step, which takes every photo once before it takes any twice.

    Args:
        photos: Number of photos.
        side: Side of each photo, in pixels.
        batch: Number of views in a step.
        seed: Seed of all random draws.
        smallest: Side of the smallest part that is taken, in pixels of the photo.
        largest: Side of the largest part that is taken, in pixels of the photo; the side of the photo if not given.
        ways: Ways in which a part may be turned, as in `View.way`.
    """

    def __init__(
        self,
        photos: int,
        side: int,
        batch: int,
        seed: int,
        smallest: int,
        largest: int | None = None,
        ways: Sequence[int] = (0,),
    ) -> None:
        self.batch = batch
        self._photos, self._side, self._seed = photos, side, seed
        self._smallest, self._largest = smallest, largest or side
        self._ways = tuple(ways)
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)

    def draw(self, step: int) -> tuple[list[View], list[float]]:
        """Return the views of a step, and a uniform random number in [0, 1) for each."""
        draws = np.random.default_rng((self._seed, step))
        sides = draws.integers(self._smallest, self._largest, self.batch, endpoint=True)
        corners = draws.random((self.batch, 2))
        ways = draws.choice(self._ways, self.batch)
        chances = draws.random(self.batch)
        views = []
        for place, (side, (across, down), way) in enumerate(zip(sides.tolist(), corners.tolist(), ways, strict=True)):
            room = self._side - side + 1
            number = self._number(step * self.batch + place)
            views.append(View(number, int(across * room), int(down * room), side, int(way)))
        return views, chances.tolist()

    def _number(self, position: int) -> int:
        epoch, place = divmod(position, self._photos)
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = np.random.default_rng((self._seed, epoch, 1)).permutation(self._photos)
        return int(self._order[place])


class Batches:
    """The batches of a run, or the part of them that one of several processes takes.

    Photos are either decoded once and kept on the device, or decoded by workers whenever they are needed.

    Args:
        squares: Squares of the photos; or pictures that are decoded already, uint8 `(N, C, S, S)` on the device.
        views: The views of the squares that each step sees.
        size_at: Function that returns the side of the pictures of a step, in pixels; views of another side are scaled.
        device: Device that batches are moved to.
        keep: Whether to decode photos once and keep them; if not given, they are kept where they fill less than half of
            the free memory.
        share: Rank of this process and number of processes, each of which takes an equal part of the batch.
    """

    def __init__(
        self,
        squares: Squares | Tensor,
        views: Views,
        size_at: Callable[[int], int],
        device: torch.device,
        *,
        keep: bool | None = None,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        if isinstance(squares, Squares):
            self.is_kept = squares.fits(device) if keep is None else keep
            self._photos: Squares | Tensor = squares.on(device) if self.is_kept else squares
        else:
            self.is_kept, self._photos = True, squares
        self._views, self._size_at, self._device = views, size_at, device
        rank, processes = share
        self._mine = slice(rank * views.batch // processes, (rank + 1) * views.batch // processes)

    def since(self, step: int, steps: int) -> Iterator[Batch]:
        """Yield the batches from a step on to the last.

        Raises:
            BadPhotos: None of the photos can be decoded any more.
        """
        if self.is_kept:
            for number in range(step, steps):
                yield self.at(number)
            return
        is_cuda = self._device.type == "cuda"
        ahead = DataLoader(
            _Steps(self),
            batch_size=None,
            sampler=range(step, steps),
            num_workers=_STREAMING_WORKERS,
            pin_memory=is_cuda,
            multiprocessing_context="spawn" if is_cuda else "fork",
            worker_init_fn=_begin_worker,
        )
        try:
            for batch in ahead:
                yield self._on_device(Batch(*batch))
        except BadPhotos as error:  # its text contains the traceback of a worker
            raise BadPhotos("none of the photos can be decoded any more: are they still where they were?") from error

    def at(self, step: int) -> Batch:
        """Return the batch of a step, on the device."""
        return self._on_device(self[step])

    def __getitem__(self, step: int) -> Batch:
        """Return the batch of a step with uint8 pictures, on the device that the photos are on."""
        views, chances = self._views.draw(step)
        size = self._size_at(step)
        pictures = torch.stack([_seen(self._photos[view.number], view, size) for view in views[self._mine]])
        return Batch(pictures, torch.tensor(chances[self._mine]))

    def _on_device(self, batch: Batch) -> Batch:
        pictures = batch.pictures.to(self._device, non_blocking=True)
        return Batch(pictures.float() / 255, batch.chance.to(self._device, non_blocking=True))


class _Steps(Dataset[Batch]):
    """The batches as a map-style data set, whose indices are steps."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches

    def __getitem__(self, step: int) -> Batch:
        return self._batches[step]


def _begin_worker(_number: int) -> None:
    """Let a worker use one thread, and leave Ctrl-C to the process that trains."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _seen(photo: Tensor, view: View, size: int) -> Tensor:
    """Return a view of a uint8 photo, `(3, S, S)`, scaled to `(3, size, size)`."""
    part = photo[:, view.top : view.top + view.side, view.left : view.left + view.side]
    part = part.rot90(view.way % 4, (1, 2))
    part = part.flip(2) if view.way >= 4 else part
    if view.side == size:
        return part
    scaled = F.interpolate(part[None].float(), (size, size), mode="bilinear", antialias=True)
    return scaled[0].round().clamp(0, 255).byte()
