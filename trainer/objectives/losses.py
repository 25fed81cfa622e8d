"""The losses of the paper, each with its equation, and their relative forms.

Pictures are float RGB in [0, 1], `(N, 3, H, W)`; features are activations of a loss network, `(N, C, H, W)`. Every
loss is a scalar: the mean over the batch. Half precision is converted to float32 first, because sums of squares
overflow in float16 and lose their last summands in bfloat16.

The published losses depend on the scale of the loss network's activations, so their weights must be found again for
every network. The relative losses divide that scale out: features that are all zero have an error of 1, whatever the
network.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from model_store.nets.luma import luma

_LIGHT_WINDOWS = (4, 16)
"""Sides of the windows in which luma is averaged before it is compared, in pixels."""
_LEAST_VARIANCE = 1e-5
"""Variance that is added to that of luma, so that the correlation of pictures of one colour is finite."""
_GRID_WINDOW = 4
"""Side of the windows in which differences are averaged before they count, in pixels of the small picture."""
_PART = 512
"""Number of positions whose products are summed in bfloat16, if features are in it; such sums are added in float32."""


def feature_reconstruction(features: Tensor, target: Tensor) -> Tensor:
    """Return the squared distance of features, divided by their number C·H·W (equation 2)."""
    return (_full(features) - _full(target)).square().mean()


def gram_matrix(features: Tensor) -> Tensor:
    """Return the correlations of channels over all positions, divided by C·H·W (equation 3).

    Returns:
        Gram matrices, `(N, C, C)`, in float32 or float64.
    """
    channels, height, width = features.shape[1:]
    with torch.autocast(features.device.type, enabled=False):
        if features.device.type == "cpu" and not torch.compiler.is_compiling():
            products: Tensor = _Products.apply(features.flatten(2).mT)
        else:
            flat = _full(features).flatten(2)
            products = flat @ flat.mT
        return products / (channels * height * width)


def style_reconstruction(gram: Tensor, target: Tensor) -> Tensor:
    """Return the squared Frobenius distance of Gram matrices (equation 4); the batch of the target may be 1."""
    return (gram - target).square().sum((1, 2)).mean()


def total_variation(pictures: Tensor) -> Tensor:
    """Return the sum of squared differences of neighbouring pixels (section 3.2; Mahendran and Vedaldi 2015)."""
    down, right = _neighbour_differences(pictures)
    return (down.square().sum() + right.square().sum()) / len(pictures)


def pixel(pictures: Tensor, target: Tensor) -> Tensor:
    """Return the squared distance of pictures, divided by C·H·W (section 3.2)."""
    return (_full(pictures) - _full(target)).square().mean()


def absolute_pixel(pictures: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute difference of pictures, the pixel loss of EDSR (Lim et al. 2017, section 3.3)."""
    return (_full(pictures) - _full(target)).abs().mean()


def absolute_steps(pictures: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute difference of the steps between neighbouring pixels, which blurred edges enlarge."""
    pairs = zip(_neighbour_differences(pictures), _neighbour_differences(target), strict=True)
    down, right = ((steps - wanted).abs().mean() for steps, wanted in pairs)
    return down + right


def relative_feature_reconstruction(features: Tensor, target: Tensor) -> Tensor:
    """Return the feature reconstruction loss divided by the mean square of the target's features (equation 2)."""
    target = _full(target)
    error = (_full(features) - target).square().mean((1, 2, 3))
    return (error / target.square().mean((1, 2, 3))).mean()


def relative_style_reconstruction(gram: Tensor, target: Tensor) -> Tensor:
    """Return the style reconstruction loss divided by the squared Frobenius norm of the target (equation 4)."""
    error = (gram - target).square().sum((1, 2))
    return (error / target.square().sum((1, 2))).mean()


def local_texture(features: Tensor, target: Tensor, side: int) -> Tensor:
    """Return the mean of the relative style reconstruction over windows (Sajjadi et al. 2017, equation 4).

    Comparing window by window keeps texture where the target has it.

    Args:
        features: Features of the picture, `(N, C, H, W)`.
        target: Features of the target, `(N, C, H, W)`.
        side: Side of the windows, in positions; positions that no whole window covers at the right and the bottom are
            left out.

    Raises:
        ValueError: The windows are larger than the features.
    """
    return relative_style_reconstruction(*(gram_matrix(_windows(each, side)) for each in (features, target)))


def grid_pattern(pictures: Tensor, target: Tensor, factor: int) -> Tensor:
    """Return a loss against patterns that repeat with the pixels of the small picture, as pixel shuffles leave them.

    The difference of the pictures is split into `factor`² pictures, each of which keeps one pixel in every cell of
    `factor`×`factor`. The loss is the mean absolute value of their averages over windows of 4×4: a pattern that repeats
    with the cells stays in the averages, and texture that does not repeat cancels out.

    Args:
        pictures: Enlarged pictures, `(N, C, H, W)`; both sides are multiples of the factor and at least 4 times as long
            as it.
        target: True pictures, `(N, C, H, W)`.
        factor: Factor of enlargement.
    """
    kept, wanted = (F.pixel_unshuffle(_full(each), factor) for each in (pictures, target))
    return F.avg_pool2d(kept - wanted, _GRID_WINDOW, _GRID_WINDOW // 2).abs().mean()


def light_and_dark(pictures: Tensor, target: Tensor) -> Tensor:
    """Return 1 - r, where r is the correlation of the luma of pictures with that of their targets.

    With Y the luma of a picture, averaged over windows of w×w pixels, and T that of its target,
    r_w = cov(Y, T) / √((var(Y) + ε)(var(T) + ε)) over the positions of the picture; r is the mean of r_4 and r_16. It
    is 0 for pictures that are as light and as dark as their targets in the same places, 1 for those that have nothing
    to do with them, and 2 for negatives. Colours, brightness, contrast and strokes finer than the windows do not count,
    so a style may choose them.

    Args:
        pictures: Pictures, `(N, 3, H, W)`, with both sides at least 16.
        target: Pictures of the same shape.
    """
    correlations = []
    for side in _LIGHT_WINDOWS:
        found, wanted = (_centred(F.avg_pool2d(luma(_full(each)), side)) for each in (pictures, target))
        variance, variance_wanted = (each.square().mean(1) + _LEAST_VARIANCE for each in (found, wanted))
        correlations.append((found * wanted).mean(1) / (variance * variance_wanted).sqrt())
    return 1 - torch.stack(correlations).mean()


def mean_squared_variation(pictures: Tensor) -> Tensor:
    """Return the total variation divided by the number of neighbours, so that it does not depend on the size."""
    down, right = _neighbour_differences(pictures)
    return down.square().mean() + right.square().mean()


def weighted_sum(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Return the objective: the sum of the named terms, each times its weight (equation 5)."""
    total = [weights[name] * term for name, term in terms.items()]
    return sum(total[1:], start=total[0])


class _Products(Function):
    """The products of channels summed over all positions, `(N, H·W, C)` to `(N, C, C)`.

    Because they are symmetric, the gradient is one product of matrices instead of two.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        ctx.save_for_backward(features)
        if features.dtype != torch.bfloat16:
            full = _full(features)
            return full.mT @ full
        count, positions, channels = features.shape
        in_parts = positions // _PART * _PART
        parts, rest = features[:, :in_parts].reshape(-1, _PART, channels), features[:, in_parts:]
        sums = (parts.mT @ parts).view(count, -1, channels, channels).sum(1, dtype=torch.float32)
        return sums + rest.mT @ rest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (features,) = ctx.saved_tensors
        result: Tensor = features @ (gradient + gradient.mT).to(features)
        return result


def _neighbour_differences(pictures: Tensor) -> tuple[Tensor, Tensor]:
    pictures = _full(pictures)
    return pictures[..., 1:, :] - pictures[..., :-1, :], pictures[..., :, 1:] - pictures[..., :, :-1]


def _windows(features: Tensor, side: int) -> Tensor:
    """Split features, `(N, C, H, W)`, into windows, `(N·windows, C, side, side)`."""
    count, channels, height, width = features.shape
    down, right = height // side, width // side
    if not down * right:
        raise ValueError(f"features of {width}×{height} hold no window of {side}")
    covered = features[..., : down * side, : right * side].reshape(count, channels, down, side, right, side)
    return covered.permute(0, 2, 4, 1, 3, 5).reshape(-1, channels, side, side)


def _centred(maps: Tensor) -> Tensor:
    """Return maps, `(N, 1, H, W)`, as `(N, H·W)` with their mean subtracted."""
    flat = maps.flatten(1)
    return flat - flat.mean(1, keepdim=True)


def _full(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()
