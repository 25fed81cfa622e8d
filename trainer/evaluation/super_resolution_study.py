"""The comparison of enlargements with the truth and with bicubic interpolation (section 4.2 of the paper).

By the standard protocol, sides are cropped to a multiple of the factor, and scores are computed on the Y channel
without `factor` pixels of border.
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
    """A named way to enlarge pictures."""

    name: str
    factor: int
    enlarge: Callable[[Tensor], Tensor]
    """Function from `(N, 3, H, W)` to `(N, 3, H·factor, W·factor)`, float RGB in [0, 1], on the device of its
    argument."""

    @classmethod
    def bicubic(cls, factor: int) -> "Enlarger":
        """Make an enlarger by bicubic interpolation."""
        return cls("bicubic", factor, lambda small: bicubic.enlarge(small, factor))

    @classmethod
    def sparse_coding(cls, name: str, coding: "SparseCoding") -> "Enlarger":
        """Make an enlarger by sparse coding, which computes on the CPU."""
        return cls(name, coding.factor, lambda small: coding.enlarge(small.cpu()).to(small.device))

    @classmethod
    def net(cls, name: str, net: TransformNet) -> "Enlarger":
        """Make an enlarger of a super-resolution net in evaluation mode, on the device of the pictures."""
        return cls(name, net.factor, net)

    def histogram_matched(self) -> "Enlarger":
        """Return the same enlarger with the colours of its results matched to those of the small picture."""
        return Enlarger(
            f"{self.name}, histogram matched", self.factor, lambda small: histogram.match(self.enlarge(small), small)
        )


class Scores(NamedTuple):
    """The quality of one enlargement, or the mean over several."""

    psnr: float
    """Peak signal-to-noise ratio, in dB."""
    ssim: float
    """Structural similarity, at most 1."""
    distances: Mapping[str, float] = MappingProxyType({})
    """Perceptual distances from the truth that were asked for, keyed by name."""


class Comparison(NamedTuple):
    """The scores of a picture, or the mean over several, enlarged by a net and by bicubic interpolation."""

    name: str
    bicubic: Scores
    net: Scores


def compare_tiles(net: TransformNet, tiles: Tensor, device: torch.device, sigma: float = 0.0) -> Comparison:
    """Return the mean scores of a net and of bicubic interpolation over tiles.

    Args:
        net: Super-resolution net in evaluation mode, on `device`.
        tiles: RGB as uint8, `(N, 3, S, S)`, N at least 1.
        device: Device to compute on.
        sigma: σ of the blur before shrinking, as for `degrade`.

    Raises:
        BadPhotos: The tiles are smaller than the net needs.
    """
    means = mean_on_tiles([Enlarger.bicubic(net.factor), Enlarger.net("net", net)], tiles, device, sigma)
    return Comparison("mean", means["bicubic"], means["net"])


def mean_on_tiles(
    enlargers: Sequence[Enlarger], tiles: Tensor, device: torch.device, sigma: float = 0.0
) -> dict[str, Scores]:
    """Return the mean scores of enlargers over tiles, keyed by name.

    Args:
        enlargers: Enlargers of one factor, each with its own name.
        tiles: RGB as uint8, `(N, 3, S, S)`, N at least 1.
        device: Device to compute on.
        sigma: σ of the blur before shrinking, as for `degrade`.

    Raises:
        BadPhotos: The tiles are smaller than a net needs.
    """
    return mean_scores(compare(enlargers, tile[None].to(device) / 255, "a tile", sigma) for tile in tiles)


class Setting(NamedTuple):
    """A setting at which enlargers are compared."""

    factor: int
    """Factor of enlargement."""
    sigma: float
    """σ of the blur before shrinking, as for `degrade`."""


class Measured(NamedTuple):
    """The scores of one picture that was enlarged in several ways."""

    data_set: str
    setting: Setting
    scores: dict[str, Scores]
    """Scores, keyed by the name of the enlarger."""


def measure(
    enlargers: Mapping[Setting, Sequence[Enlarger]],
    data_sets: Mapping[str, Sequence[Path]],
    device: torch.device,
    distances: "Mapping[str, PerceptualDistance]" = MappingProxyType({}),
) -> Iterator[Measured]:
    """Compare enlargers on every picture at every setting, one after the other.

    Args:
        enlargers: Enlargers of the factor of each setting, each with its own name.
        data_sets: Paths of the pictures, keyed by the name of the data set.
        device: Device to compute on.
        distances: Perceptual distances, as for `compare`.

    Raises:
        BadPhotos: A picture cannot be read or is too small; all sizes are checked before anything is computed.
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
    """Shrink a large picture, enlarge it again in several ways, and score each.

    Args:
        enlargers: Enlargers of one factor, each with its own name.
        picture: Float RGB in [0, 1], `(1, 3, H, W)`, on the device to compute on.
        name: Name of the picture for error messages.
        sigma: σ of the blur before shrinking, as for `degrade`.
        distances: Perceptual distances for `Scores.distances`, keyed by name; they see the picture without its border.

    Returns:
        The scores, keyed by the name of the enlarger.

    Raises:
        BadPhotos: The picture is smaller than a net needs when it is shrunk.
    """
    factor = enlargers[0].factor
    truth = crop_to_multiple(picture, factor, name)
    enlarged = enlarge(enlargers, truth, sigma)
    return {method: _score(result, truth, factor, distances) for method, result in enlarged.items()}


def enlarge(enlargers: Sequence[Enlarger], truth: Tensor, sigma: float = 0.0) -> dict[str, Tensor]:
    """Shrink a large picture, whose sides the factor divides, and enlarge it again; see `compare` for the arguments.

    Returns:
        The enlargements, float RGB, `(1, 3, H, W)`, keyed by the name of the enlarger.
    """
    with torch.inference_mode():
        small = degrade(truth, enlargers[0].factor, sigma)
        return {each.name: each.enlarge(small) for each in enlargers}


def check_size(size: tuple[int, int], factor: int, name: str) -> None:
    """Make sure that a large picture of some width and height is large enough to be measured on.

    Raises:
        BadPhotos: The picture is smaller than a net needs when it is shrunk.
    """
    smallest = SMALLEST_SIDE * factor
    if min(size) < smallest:
        raise BadPhotos(
            f"{name} of {size[0]}×{size[1]} is too small for ×{factor}: both sides must be at least {smallest} pixels"
        )


def crop_to_multiple(picture: Tensor, factor: int, name: str) -> Tensor:
    """Crop a picture at the right and the bottom so that the factor divides both sides.

    Raises:
        BadPhotos: The picture is smaller than a net needs when it is shrunk.
    """
    height, width = picture.shape[-2:]
    check_size((width, height), factor, name)
    return picture[..., : height - height % factor, : width - width % factor]


def mean_scores(pictures: Iterable[Mapping[str, Scores]]) -> dict[str, Scores]:
    """Return the mean scores over at least one picture, all with the same enlargers, keyed by the enlarger's name."""
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
