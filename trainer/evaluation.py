"""Measuring a model: super-resolution against the truth, styles against the style picture."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from model_store.nets import SMALLEST_SIDE, TransformNet, bicubic
from trainer import metrics
from trainer.degradation import degrade
from trainer.errors import BadPhotos
from trainer.loss_networks import LossNetwork, Tap
from trainer.losses import gram_matrix, relative_style_reconstruction
from trainer.photos import list_pictures, load_picture

_STYLE_BATCH = 4


class Scores(NamedTuple):
    """Quality of one enlargement, or a mean of several."""

    psnr: float
    """dB."""
    ssim: float


class Comparison(NamedTuple):
    """A picture enlarged by the net and by bicubic interpolation."""

    name: str
    bicubic: Scores
    net: Scores


def compare_folder(net: TransformNet, folder: Path, device: torch.device) -> Iterator[Comparison]:
    """Compares on each picture of a folder, by `compare`.

    Raises:
        BadPhotos: no pictures there, or one cannot be read.
    """
    for path in list_pictures(folder):
        yield compare(net, load_picture(path), path.stem, device)


def compare_tiles(net: TransformNet, tiles: Tensor, device: torch.device) -> Comparison:
    """The mean over uint8 tiles, `(N, 3, S, S)`, N at least 1."""
    return mean_comparison([compare(net, tile[None] / 255, "tile", device) for tile in tiles])


def compare(net: TransformNet, picture: Tensor, name: str, device: torch.device) -> Comparison:
    """Shrinks a large picture bicubically, enlarges it by the net and by bicubic interpolation, and scores both.

    The standard protocol: sides cropped to a multiple of the factor, Y channel, `factor` pixels of border left out.

    Args:
        net: a super-resolution net in evaluation mode, on `device`.
        picture: float RGB in [0, 1], `(1, 3, H, W)`.
        name: of the result.
        device: where to compute.

    Raises:
        BadPhotos: it is smaller than the net needs when shrunk.
    """
    factor = net.factor
    if min(picture.shape[-2:]) < SMALLEST_SIDE * factor:
        raise BadPhotos(
            f"{name} is too small for ×{factor}: both sides must be at least {SMALLEST_SIDE * factor} pixels"
        )
    height, width = (side - side % factor for side in picture.shape[-2:])
    truth = picture[..., :height, :width].to(device)
    small = degrade(truth, factor)
    with torch.inference_mode():
        enlarged = net(small)
    return Comparison(name, _score(bicubic.enlarge(small, factor), truth, factor), _score(enlarged, truth, factor))


def mean_comparison(comparisons: list[Comparison]) -> Comparison:
    """The mean over pictures, named `mean`."""
    count = len(comparisons)

    def mean(scores: list[Scores]) -> Scores:
        return Scores(sum(score.psnr for score in scores) / count, sum(score.ssim for score in scores) / count)

    return Comparison("mean", mean([each.bicubic for each in comparisons]), mean([each.net for each in comparisons]))


class StyleError(NamedTuple):
    """Mean relative style error (see `losses.relative_style_reconstruction`) over pictures and taps."""

    before: float
    """Of the photos themselves."""
    after: float
    """Of the stylised photos."""


def measure_style(
    net: TransformNet,
    photos: Tensor,
    style_picture: Tensor,
    loss_network: LossNetwork,
    taps: Sequence[Tap],
) -> StyleError:
    """How far photos are from the style picture, before and after the net.

    Args:
        net: a style net in evaluation mode.
        photos: uint8 RGB, `(N, 3, H, W)`.
        style_picture: float RGB in [0, 1], `(1, 3, H, W)`.
        loss_network: on the net's device.
        taps: of the loss network, to measure at.

    Raises:
        ValueError: there are no photos.
    """
    if not len(photos):
        raise ValueError("there are no photos to measure the style on")

    def error(pictures: Tensor) -> float:
        features = loss_network(pictures)
        return math.fsum(
            float(relative_style_reconstruction(gram_matrix(features[tap]), target)) for tap, target in targets.items()
        )

    device = next(loss_network.parameters()).device
    before = after = 0.0
    with torch.inference_mode():
        style_features = loss_network(style_picture.to(device))
        targets = {tap: gram_matrix(style_features[tap]) for tap in taps}
        for batch in torch.split(photos, _STYLE_BATCH):
            pictures = batch.to(device) / 255
            before += error(pictures) * len(batch)
            after += error(net(pictures)) * len(batch)
    count = len(photos) * len(taps)
    return StyleError(before / count, after / count)


def _score(picture: Tensor, truth: Tensor, border: int) -> Scores:
    luma_a, luma_b = metrics.luma(picture), metrics.luma(truth)
    return Scores(metrics.psnr(luma_a, luma_b, border), metrics.ssim(luma_a, luma_b, border))
