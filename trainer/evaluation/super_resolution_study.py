"""Measuring super-resolution as section 4.2 of the paper does: against the truth, beside bicubic interpolation.

The standard protocol: sides cropped to a multiple of the factor, Y channel, `factor` pixels of border left out.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from model_store.card import SMALLEST_SIDE
from model_store.nets import TransformNet, bicubic, histogram
from trainer.data.degradation import degrade
from trainer.data.photos import load_picture, reason
from trainer.errors import BadPhotos
from trainer.evaluation import metrics

if TYPE_CHECKING:
    from trainer.baselines.sparse_coding import SparseCoding
    from trainer.evaluation.perceptual_distance import PerceptualDistance


@dataclass(frozen=True)
class Enlarger:
    """A way to enlarge pictures."""

    name: str
    factor: int
    enlarge: Callable[[Tensor], Tensor]
    """`(N, 3, H, W)` to `(N, 3, H·factor, W·factor)`, float RGB in [0, 1], on the device of its argument."""

    @classmethod
    def bicubic(cls, factor: int) -> "Enlarger":
        """Bicubic interpolation."""
        return cls("bicubic", factor, lambda small: bicubic.enlarge(small, factor))

    @classmethod
    def sparse_coding(cls, name: str, coding: "SparseCoding") -> "Enlarger":
        """Sparse coding; computes on the CPU."""
        return cls(name, coding.factor, lambda small: coding.enlarge(small.cpu()).to(small.device))

    @classmethod
    def net(cls, name: str, net: TransformNet) -> "Enlarger":
        """A super-resolution net in evaluation mode, on the device of the pictures."""
        return cls(name, net.factor, net)

    def histogram_matched(self) -> "Enlarger":
        """The same, with the colours of the result matched to those of the small picture."""
        return Enlarger(
            f"{self.name}, histogram matched", self.factor, lambda small: histogram.match(self.enlarge(small), small)
        )


class Scores(NamedTuple):
    """Quality of one enlargement, or a mean of several."""

    psnr: float
    """dB."""
    ssim: float
    distances: Mapping[str, float] = MappingProxyType({})
    """From the truth, by what they are called; those that were asked for."""


class Comparison(NamedTuple):
    """A picture enlarged by the net and by bicubic interpolation."""

    name: str
    bicubic: Scores
    net: Scores


def compare_tiles(net: TransformNet, tiles: Tensor, device: torch.device, sigma: float = 0.0) -> Comparison:
    """The mean over tiles, of a net and of bicubic interpolation.

    Args:
        net: a super-resolution net in evaluation mode, on `device`.
        tiles: uint8 RGB, `(N, 3, S, S)`, N at least 1.
        device: where to compute.
        sigma: of the blur before shrinking, see `degrade`.

    Raises:
        BadPhotos: the tiles are smaller than the net needs.
    """
    means = mean_on_tiles([Enlarger.bicubic(net.factor), Enlarger.net("net", net)], tiles, device, sigma)
    return Comparison("mean", means["bicubic"], means["net"])


def mean_on_tiles(
    enlargers: Sequence[Enlarger], tiles: Tensor, device: torch.device, sigma: float = 0.0
) -> dict[str, Scores]:
    """Mean scores by the names of the enlargers; arguments and errors as for `compare_tiles` and `compare`."""
    return mean_scores(compare(enlargers, tile[None].to(device) / 255, "a tile", sigma) for tile in tiles)


class Setting(NamedTuple):
    """A task that enlargers are compared at."""

    factor: int
    sigma: float
    """Of the blur before shrinking, see `degrade`."""


class Measured(NamedTuple):
    """One picture, enlarged in several ways."""

    data_set: str
    setting: Setting
    scores: dict[str, Scores]
    """By the names of the enlargers."""


def measure(
    enlargers: Mapping[Setting, Sequence[Enlarger]],
    data_sets: Mapping[str, Sequence[Path]],
    device: torch.device,
    distances: "Mapping[str, PerceptualDistance]" = MappingProxyType({}),
) -> Iterator[Measured]:
    """Compares on every picture at every setting.

    Args:
        enlargers: of the setting's factor, each with its own name.
        data_sets: pictures by the name of the set.
        device: where to compute.
        distances: see `compare`.

    Raises:
        BadPhotos: a picture cannot be read, or is too small; the sizes are looked at before anything is computed.
    """
    for path in (path for paths in data_sets.values() for path in paths):
        check_size(_size(path), max(setting.factor for setting in enlargers), path.name)
    for data_set, paths in data_sets.items():
        for path in paths:
            picture = load_picture(path).to(device)
            for setting, candidates in enlargers.items():
                scores = compare(candidates, picture, path.name, setting.sigma, distances)
                yield Measured(data_set, setting, scores)


def compare(
    enlargers: Sequence[Enlarger],
    picture: Tensor,
    name: str,
    sigma: float = 0.0,
    distances: "Mapping[str, PerceptualDistance]" = MappingProxyType({}),
) -> dict[str, Scores]:
    """Shrinks a large picture, enlarges it again in several ways, and scores each.

    Args:
        enlargers: of one factor, each with its own name.
        picture: float RGB in [0, 1], `(1, 3, H, W)`; computed where it lies.
        name: of the picture, for errors.
        sigma: of the blur before shrinking, see `degrade`.
        distances: of the whole picture without its border, for `Scores.distances`.

    Returns:
        The scores, by the names of the enlargers.

    Raises:
        BadPhotos: the picture is smaller than a net needs when it is shrunk.
    """
    factor = enlargers[0].factor
    truth = crop_to_multiple(picture, factor, name)
    enlarged = enlarge(enlargers, truth, sigma)
    return {method: _score(result, truth, factor, distances) for method, result in enlarged.items()}


def enlarge(enlargers: Sequence[Enlarger], truth: Tensor, sigma: float = 0.0) -> dict[str, Tensor]:
    """Shrinks a large picture, whose sides the factor divides, and enlarges it again; arguments as for `compare`."""
    with torch.inference_mode():
        small = degrade(truth, enlargers[0].factor, sigma)
        return {each.name: each.enlarge(small) for each in enlargers}


def check_size(size: tuple[int, int], factor: int, name: str) -> None:
    """Makes sure that a large picture, width and height, is large enough to be measured on.

    Raises:
        BadPhotos: it is smaller than a net needs when it is shrunk.
    """
    smallest = SMALLEST_SIDE * factor
    if min(size) < smallest:
        raise BadPhotos(
            f"{name} of {size[0]}×{size[1]} is too small for ×{factor}: both sides must be at least {smallest} pixels"
        )


def crop_to_multiple(picture: Tensor, factor: int, name: str) -> Tensor:
    """Crops at the right and the bottom until the factor divides both sides.

    Raises:
        BadPhotos: the picture is smaller than a net needs when it is shrunk.
    """
    height, width = picture.shape[-2:]
    check_size((width, height), factor, name)
    return picture[..., : height - height % factor, : width - width % factor]


def mean_scores(pictures: Iterable[Mapping[str, Scores]]) -> dict[str, Scores]:
    """The mean over pictures, at least one, each with the same enlargers."""
    every = list(pictures)
    return {method: _mean([scores[method] for scores in every]) for method in every[0]}


def _size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path) as picture:
            return picture.size
    except Exception as error:  # decoders raise anything on broken files
        raise BadPhotos(f"cannot read the picture {path}: {reason(error)}") from error


def _mean(scores: Sequence[Scores]) -> Scores:
    count = len(scores)
    return Scores(
        sum(each.psnr for each in scores) / count,
        sum(each.ssim for each in scores) / count,
        {name: sum(each.distances[name] for each in scores) / count for name in scores[0].distances},
    )


def _score(picture: Tensor, truth: Tensor, border: int, distances: "Mapping[str, PerceptualDistance]") -> Scores:
    luma_a, luma_b = metrics.luma(picture), metrics.luma(truth)
    inside = (..., slice(border, -border), slice(border, -border))
    return Scores(
        metrics.psnr(luma_a, luma_b, border),
        metrics.ssim(luma_a, luma_b, border),
        {name: distance(picture[inside], truth[inside]) for name, distance in distances.items()},
    )
