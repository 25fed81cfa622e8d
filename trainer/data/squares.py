"""Squares of one size, cut out of photos, which nets are trained and measured on."""

import hashlib
import itertools
import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from trainer.data.photos import PhotoFile, find_photos, reason, to_tensor
from trainer.errors import BadPhotos

_TILES_PER_PHOTO = 16
"""Largest number of tiles that are cut out of one photo."""
"""Largest number of tiles that are cut out of one photo."""
_log = logging.getLogger(__name__)

Box = tuple[float, float, float, float]
"""Left, top, right and bottom of a part of an upright photo, in pixels."""


class Square(NamedTuple):
    """A square part of a photo."""

    photo: PhotoFile
    box: Box


class Squares:
    """Squares whose photos are decoded only when they are asked for.

    Args:
        squares: The squares; those of the same photo follow one another.
        size: Side of the decoded squares, in pixels; parts of another side are scaled to it.
    """

    def __init__(self, squares: Sequence[Square], size: int) -> None:
        self._squares = squares
        self.size = size
        self.skipped: dict[str, str] = {}
        """Reasons why photos that were asked for could not be decoded, keyed by name."""
        self._broken: set[bytes] = set()
        self._kept: dict[torch.device, Tensor] = {}

    def __len__(self) -> int:
        return len(self._squares)

    def __getitem__(self, number: int) -> Tensor:
        """Return one square as uint8 RGB, `(3, S, S)`, or the next one whose photo is not broken.

        Raises:
            BadPhotos: All photos are broken.
        """
        for place in range(number, number + len(self)):
            square = self._squares[place % len(self)]
            decoded = self._decode(square.photo, [square.box])
            if decoded is not None:
                return decoded[0]
        raise BadPhotos(f"none of the {len(self._broken)} photos can be decoded: give others")

    def decode(self) -> Tensor:
        """Return all squares as uint8 RGB, `(N, 3, S, S)`, the same as each by itself.

        Raises:
            BadPhotos: All photos are broken.
        """
        squares = torch.empty(len(self), 3, self.size, self.size, dtype=torch.uint8)
        broken: list[int] = []
        groups = [(photo, [square.box for square in group]) for photo, group in _by_photo(self._squares)]
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            number = 0
            for (_, boxes), tensors in zip(
                groups, threads.map(lambda group: self._decode(*group), groups), strict=True
            ):
                places = range(number, number + len(boxes))
                if tensors is None:
                    broken.extend(places)
                else:
                    squares[places.start : places.stop] = torch.stack(tensors)
                number = places.stop
        for place in broken:
            squares[place] = self[place]
        return squares

    def on(self, device: torch.device) -> Tensor:
        """Return all squares on a device; the first call decodes them, and later calls return the same tensor.

        Raises:
            BadPhotos: All photos are broken.
        """
        if device not in self._kept:
            self._kept[device] = self.decode().to(device)
        return self._kept[device]

    def fits(self, device: torch.device) -> bool:
        """Return whether all squares are kept on a device, or fit into half of its free memory and of the host's."""
        if device in self._kept:
            return True
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        if device.type == "cuda":
            free = min(free, torch.cuda.mem_get_info(device)[0])
        return len(self) * 3 * self.size**2 < free / 2

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of the contents of the photos and of the boxes, which does not depend on names."""
        digest = hashlib.sha256()
        for photo, box in self._squares:
            digest.update(photo.sha256 + repr(box).encode())
        return digest.hexdigest()

    def _decode(self, photo: PhotoFile, boxes: Sequence[Box]) -> list[Tensor] | None:
        """Return some squares of one photo, or None if the photo is broken."""
        if photo.sha256 in self._broken:
            return None
        try:
            picture = photo.decode()
        except Exception as error:  # decoders raise anything on broken files
            _log.warning("skipped %s: %s", photo.name, reason(error))
            self.skipped[photo.name] = reason(error)
            self._broken.add(photo.sha256)
            return None
        return [to_tensor(_cut(picture, box, self.size)) for box in boxes]


class Photos(NamedTuple):
    """Squares to train on and squares that training never sees."""

    train: Squares
    held_out: Tensor
    """Squares of the first photos in the order of their SHA-256, uint8 RGB, `(N, 3, S, S)`."""
    skipped: dict[str, str]
    """Reasons why files were left out before training, keyed by name."""

    @property
    def description(self) -> str:
        """Return one line about the squares for the card of a model."""
        size = self.train.size
        return f"{len(self.train)} squares of {size}×{size} from photos, {len(self.held_out)} more held out"

    @property
    def summary(self) -> str:
        """Return one line about the squares and the skipped files for the person who trains."""
        skipped = [*self.skipped, *self.train.skipped]
        names = ", ".join(skipped[:5]) + (", …" if len(skipped) > 5 else "")
        return self.description + (f"; skipped {len(skipped)} files: {names}" if skipped else "")


def load_crops(sources: Iterable[str | Path], size: int, held_out: int = 0) -> Photos:
    """Return the middle square of each photo, scaled to `size`, for training a style.

    Args:
        sources: Folders, tars or patterns of tars, as for `find_photos`.
        size: Side of the square, in pixels.
        held_out: Number of photos to keep from training.

    Raises:
        BadPhotos: A source does not exist, or there are no more than `held_out` usable photos.
    """

    def middle(width: int, height: int) -> list[Box]:
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        return [(left, top, left + side, top + side)]

    return _load(sources, size, held_out, middle)


class Crops:
    """The crops of some photos for several runs, which are looked for once for each size; see `load_crops`."""

    def __init__(self, sources: Iterable[str | Path], held_out: int = 0) -> None:
        self._sources, self._held_out = list(sources), held_out
        self._found: dict[int, Photos] = {}

    def of(self, size: int) -> Photos:
        """Return the crops of a size; every call for the same size returns the same object."""
        if size not in self._found:
            self._found[size] = load_crops(self._sources, size, self._held_out)
        return self._found[size]


def load_tiles(sources: Iterable[str | Path], size: int, held_out: int = 0) -> Photos:
    """Return up to 16 unscaled squares of each photo, spread evenly, for training super-resolution.

    The arguments and errors are those of `load_crops`; photos smaller than a square are skipped.
    """

    def tiles(width: int, height: int) -> list[Box]:
        lefts, tops = range(0, width - size + 1, size), range(0, height - size + 1, size)
        boxes: list[Box] = [(left, top, left + size, top + size) for top in tops for left in lefts]
        return boxes[:: max(1, math.ceil(len(boxes) / _TILES_PER_PHOTO))]

    return _load(sources, size, held_out, tiles)


def _load(sources: Iterable[str | Path], size: int, held_out: int, boxes_in: Callable[[int, int], list[Box]]) -> Photos:
    sources = list(sources)
    found = find_photos(sources)
    usable, skipped = [], dict(found.skipped)
    for photo in found.photos:
        boxes = boxes_in(*photo.size)
        if boxes:
            usable.append([Square(photo, box) for box in boxes])
        else:
            _log.warning("skipped %s: too small", photo.name)
            skipped[photo.name] = "too small"
    held: list[Tensor] = []
    remaining = iter(usable)
    for tensors in itertools.islice(_decodable(remaining, size, skipped), held_out):
        held.extend(tensors)
    train = [square for squares in remaining for square in squares]
    if not train:
        names = ", ".join(str(source) for source in sources)
        raise BadPhotos(
            f"{names} has {len(usable)} usable photos ({len(skipped)} skipped), and {held_out} are to be held out: "
            "give it more photos"
        )
    squares = torch.stack(held) if held else torch.empty(0, 3, size, size, dtype=torch.uint8)
    return Photos(Squares(train, size), squares, skipped)


def _decodable(photos: Iterator[list[Square]], size: int, skipped: dict[str, str]) -> Iterator[list[Tensor]]:
    for squares in photos:
        decoder = Squares(squares, size)
        try:
            yield list(decoder.decode())
        except BadPhotos:
            skipped.update(decoder.skipped)


def _by_photo(squares: Iterable[Square]) -> Iterator[tuple[PhotoFile, Iterator[Square]]]:
    return itertools.groupby(squares, key=lambda square: square.photo)


def _cut(photo: Image.Image, box: Box, size: int) -> Image.Image:
    left, top, right, bottom = box
    if right - left == size and (left, top) == (int(left), int(top)):
        return photo.crop((int(left), int(top), int(right), int(bottom)))
    return photo.resize((size, size), Image.Resampling.LANCZOS, box)
