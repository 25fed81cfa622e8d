"""The form of the style net that a CPU trains fastest.

Convolutions at a quarter of the size use Winograd's algorithm, enlargements are folded into the convolutions that
follow them, and the last convolution makes cells of 2×2 pixels. Features are laid out channels-last.
"""

from collections.abc import Iterator
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from model_store.convolutions import winograd
from model_store.convolutions.folding import fold_enlargement, fold_shuffle
from model_store.nets import StyleNet, TransformNet

_QUARTERS = ((0, 0), (0, 1), (1, 0), (1, 1))
"""Row and column of each pixel of a cell."""


class CpuStyleNet(TransformNet):
    """A net that computes the same as a `StyleNet`, up to rounding, and passes gradients on to its weights.

    Args:
        net: Net on the CPU, whose weights are shared, not copied.
    """

    multiple = StyleNet.multiple

    def __init__(self, net: StyleNet) -> None:
        super().__init__()
        self.net = net
        self.train(net.training)

    def transform(self, pictures: Tensor) -> Tensor:
        """Paint pictures, `(N, 3, H, W)` with H and W multiples of 4, in the precision of autocast, if that is on."""
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else pictures.dtype
        with torch.autocast("cpu", enabled=False):
            features = (pictures * 2 - 1).to(dtype, memory_format=torch.channels_last)
            for conv, norm in _convs_with_norms(self.net.encoder):
                features = F.relu(_normalise(_convolve(features, conv), norm))
            for block in self.net.residuals:
                (conv, norm), (conv_again, norm_again) = _convs_with_norms(cast("nn.Sequential", block.branch))
                branch = F.relu(_normalise(_convolve(features, conv), norm))
                features = features + _normalise(_convolve(branch, conv_again), norm_again)
            for conv, norm in _convs_with_norms(self.net.decoder):
                features = F.relu(_normalise(_enlarge(features, conv), norm))
            painted = _finish(features, cast("nn.Conv2d", self.net.decoder[-1]))
        return self.net.to_pixels(painted.float())


def _convs_with_norms(layers: nn.Sequential) -> Iterator[tuple[nn.Conv2d, nn.InstanceNorm2d]]:
    """Return the convolutions that are followed by a normalisation, each with its normalisation."""
    convs = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in layers if isinstance(layer, nn.InstanceNorm2d)]
    return zip(convs, norms, strict=False)  # the last convolution has no normalisation


def _normalise(features: Tensor, norm: nn.InstanceNorm2d) -> Tensor:
    """Normalise each picture as a batch of its own, because instance normalisation is slow in channels-last."""

    def normalise(picture: Tensor) -> Tensor:
        return F.batch_norm(picture, None, None, norm.weight, norm.bias, training=True, eps=norm.eps)

    return torch.cat([normalise(picture) for picture in torch.split(features, 1)])


def _convolve(features: Tensor, conv: nn.Conv2d) -> Tensor:
    padded = F.pad(features, (conv.kernel_size[0] // 2,) * 4, mode="reflect")
    bias = cast("Tensor", conv.bias).to(features)
    if conv.kernel_size == (3, 3) and conv.stride == (1, 1):
        return _convolve_by_winograd(padded, conv.weight, bias)
    return F.conv2d(padded, conv.weight.to(features), bias, conv.stride)


def _enlarge(features: Tensor, conv: nn.Conv2d) -> Tensor:
    """Enlarge features by 2 and convolve them, in one convolution."""
    padded = F.pad(features, (1, 1, 1, 1), mode="replicate")
    outputs, inputs = conv.weight.shape[:2]
    folded = fold_enlargement(conv.weight).view(2, 2, outputs, inputs, 3, 3)
    corners = [folded[row, column, ..., row : row + 2, column : column + 2] for row, column in _QUARTERS]
    bias = cast("Tensor", conv.bias).to(features).repeat(4)
    quarters = F.conv2d(padded, torch.cat(corners).to(features), bias)
    result: Tensor = _Interleaved.apply(quarters.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    return result


def _finish(features: Tensor, conv: nn.Conv2d) -> Tensor:
    """Apply the last convolution to cells of 2×2 pixels, which gives cells of 2×2 pixels."""
    padded = F.pad(features, (4, 4, 4, 4), mode="reflect")
    count, channels, height, width = padded.shape
    cells = padded.permute(0, 2, 3, 1).reshape(count, height // 2, 2, width // 2, 2, channels)
    cells = cells.transpose(2, 3).reshape(count, height // 2, width // 2, 4 * channels).permute(0, 3, 1, 2)
    bias = cast("Tensor", conv.bias).to(features).repeat(4)
    return _shuffle(F.conv2d(cells, fold_shuffle(conv.weight).to(features), bias))


class _Interleaved(Function):
    """The spreading of quarters to the pixels of an enlarged picture, `(N, H+1, W+1, 4·K)` to `(N, 2·H, 2·W, K)`.

    Each pixel reads 2×2 pixels of the small picture; those of the second row or column begin one pixel later.
    """

    @staticmethod
    def forward(_ctx: Any, quarters: Tensor) -> Tensor:
        count, height, width, channels = quarters.shape
        return _interleaved(quarters.contiguous()).reshape(count, 2 * height - 2, 2 * width - 2, channels // 4)

    @staticmethod
    def backward(_ctx: Any, gradient: Tensor) -> Tensor:
        count, height, width, channels = gradient.shape
        result = gradient.new_zeros(count, height // 2 + 1, width // 2 + 1, 4 * channels)
        place = _interleaved(result)
        place.copy_(gradient.reshape(place.shape))
        return result


def _interleaved(quarters: Tensor) -> Tensor:
    """Return a view of quarters, `(N, H+1, W+1, 4·K)`, as `(N, H, 2, W, 2, K)`."""
    count, height, width, channels = quarters.shape
    by_picture, by_row, by_column, _ = quarters.stride()
    channels //= 4
    shape = (count, height - 1, 2, width - 1, 2, channels)
    return quarters.as_strided(shape, (by_picture, by_row, by_row + 2 * channels, by_column, by_column + channels, 1))


def _convolve_by_winograd(padded: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    kernel = winograd.transform_kernel(weight).to(padded)
    return winograd.convolve(padded.permute(0, 2, 3, 1), kernel, bias).permute(0, 3, 1, 2)


def _shuffle(cells: Tensor) -> Tensor:
    """Spread the pixels of cells, `(N, 4·C, H, W)` to `(N, C, 2·H, 2·W)`."""
    count, channels, height, width = cells.shape
    pixels = cells.permute(0, 2, 3, 1).reshape(count, height, width, 2, 2, channels // 4).transpose(2, 3)
    return pixels.reshape(count, 2 * height, 2 * width, channels // 4).permute(0, 3, 1, 2)
