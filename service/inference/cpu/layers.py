"""The layers of the style net on a CPU: convolutions of frames by bands, each with the normalisation after it.

Shapes: features are `(H, W, C)`, cells of 2×2 pixels are `(H/2, W/2, 2, 2, C)`, and frames have a margin around them.
"""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_store.convolutions import winograd
from model_store.convolutions.folding import fold_enlargement, fold_shuffle
from model_store.nets import StyleNet
from service.inference.cpu import bands

_ROWS_SQUARED = 16
"""Number of rows of a band that are squared at a time, because all at once would need as much memory again."""


class Moments(NamedTuple):
    """The moments of one band of a convolution's output, from which those of the whole output follow."""

    positions: int
    """Number of pixels in the band."""
    mean: Tensor
    """Mean of each channel, `(C)`."""
    squares: Tensor
    """Sum of the squares of the differences from the mean in each channel, `(C)`."""


class Part(NamedTuple):
    """One band of a convolution's output."""

    rows: slice
    """Rows of the output that the band consists of."""
    features: Tensor
    """Features or cells, with a mean of 0 in each channel."""
    mean: Tensor
    """Mean of each channel, which was subtracted, `(C)`."""
    squares: Tensor
    """Sum of the squares of the features in each channel, `(C)`."""

    @property
    def moments(self) -> Moments:
        """Moments of the band."""
        return Moments(self.features.numel() // self.features.shape[-1], self.mean, self.squares)


class Parts:
    """All bands of a convolution's output, which are to be normalised.

    Args:
        parts: Bands of the output.
        layer: Layer of the convolution, with its normalisation.
        cores: Number of cores to compute on.
    """

    def __init__(self, parts: Sequence[Part], layer: "Layer", cores: int) -> None:
        mean, self._scale = layer.statistics([part.moments for part in parts])
        self.channels = layer.channels
        self._shift = layer.shift
        self._cores = cores
        self._parts = [(part.rows, part.features, (part.mean - mean) * self._scale) for part in parts]

    def activate(self, out: Tensor, *, is_shifted: bool = True) -> None:
        """Write the ReLU of the normalised features; call this once only, because it frees the features.

        Args:
            out: Features or cells of the same size, which are overwritten.
            is_shifted: Whether to shift the result so that that of a flat picture is 0.
        """
        flat = self._shift.clamp_min(0) if is_shifted else torch.zeros(())
        lowest = -flat

        def activate(part: tuple[slice, Tensor, Tensor]) -> None:
            rows, features, offset = part
            target = out[rows]
            torch.addcmul(self._shift - flat + offset, features, self._scale, out=target)
            torch.maximum(target, lowest, out=target)
            _free(features)

        bands.compute(activate, self._parts, self._cores)

    def add_to(self, out: Tensor) -> None:
        """Add the normalised features, but for a constant in each channel; call this once only, as it frees them."""

        def add(part: tuple[slice, Tensor, Tensor]) -> None:
            rows, features, offset = part
            out[rows].addcmul_(features, self._scale).add_(offset)
            _free(features)

        bands.compute(add, self._parts, self._cores)


class Layer(nn.Module):
    """A convolution together with the normalisation after it."""

    gain: Tensor
    shift: Tensor

    def __init__(self, norm: nn.InstanceNorm2d) -> None:
        super().__init__()
        self.register_buffer("gain", norm.weight.detach().clone())
        self.register_buffer("shift", norm.bias.detach().clone())
        self.eps = norm.eps
        self.channels = norm.num_features

    def convolve(self, frame: Tensor, rows: slice) -> Tensor:
        """Return some rows of the output, features or cells, in memory that nothing else refers to."""
        raise NotImplementedError

    def statistics(self, moments: Sequence[Moments]) -> tuple[Tensor, Tensor]:
        """Return the mean of each channel, and the factor by which the normalisation scales it, both `(C)`.

        Args:
            moments: Moments of all bands of the output.
        """
        positions = sum(each.positions for each in moments)
        mean = _total(each.mean * (each.positions / positions) for each in moments)
        squares = _total(each.squares + (each.mean - mean).square() * each.positions for each in moments)
        return mean, self.gain * torch.rsqrt(squares / positions + self.eps)

    def make_part(self, frame: Tensor, rows: slice) -> Part:
        """Return some rows of the output as a part, whose mean in each channel is 0."""
        features = self.convolve(frame, rows)
        # This is many times as fast as torch.var_mean, and no less precise.
        mean = _sum(features) / (features.numel() // self.channels)
        features.sub_(mean)
        squares = _total(_sum(strip.square()) for strip in torch.split(features, _ROWS_SQUARED))
        return Part(rows, features, mean, squares)

    def forward(self, frame: Tensor, rows: Sequence[slice], cores: int) -> Parts:
        """Convolve a frame, in bands that consist of the given rows of the result."""
        return Parts(bands.compute(lambda band: self.make_part(frame, band), rows, cores), self, cores)


class Plain(Layer):
    """A convolution of any size and stride, as torch computes it."""

    kernel: Tensor

    def __init__(self, conv: nn.Conv2d, norm: nn.InstanceNorm2d) -> None:
        super().__init__(norm)
        self.register_buffer("kernel", channels_last(conv.weight.detach()))
        self.stride = conv.stride[0]

    def convolve(self, frame: Tensor, rows: slice) -> Tensor:
        """Return some rows of the output; see `Layer.convolve`."""
        stop = (rows.stop - 1) * self.stride + self.kernel.shape[2]
        return convolve(frame[rows.start * self.stride : stop], self.kernel, stride=self.stride)


class Winograd(Layer):
    """A 3×3 convolution by Winograd's algorithm."""

    kernel: Tensor

    def __init__(self, conv: nn.Conv2d, norm: nn.InstanceNorm2d) -> None:
        super().__init__(norm)
        self.register_buffer("kernel", winograd.transform_kernel(conv.weight.detach()))

    def convolve(self, frame: Tensor, rows: slice) -> Tensor:
        """Return some rows of the output; see `Layer.convolve`."""
        return winograd.convolve(frame[None, rows.start : rows.stop + 2], self.kernel)[0]


class Enlarging(Winograd):
    """A 3×3 convolution, by Winograd's algorithm, of a picture enlarged by 2; it makes cells."""

    def __init__(self, conv: nn.Conv2d, norm: nn.InstanceNorm2d) -> None:
        super().__init__(conv, norm)
        self.kernel = winograd.transform_kernel(fold_enlargement(conv.weight.detach()))

    def convolve(self, frame: Tensor, rows: slice) -> Tensor:
        """Return some rows of the output; see `Layer.convolve`."""
        return _split_cells(super().convolve(frame, rows))


class PlainEnlarging(Plain):
    """A plain 3×3 convolution of a picture enlarged by 2; it makes cells."""

    def __init__(self, conv: nn.Conv2d, norm: nn.InstanceNorm2d) -> None:
        super().__init__(conv, norm)
        self.kernel = channels_last(fold_enlargement(conv.weight.detach()))

    def convolve(self, frame: Tensor, rows: slice) -> Tensor:
        """Return some rows of the output; see `Layer.convolve`."""
        return _split_cells(super().convolve(frame, rows))


_Kind = Callable[[nn.Conv2d, nn.InstanceNorm2d], Layer]


class StyleLayers(nn.Module):
    """The layers of a style net: enlargements are folded into them, and the last convolution makes cells.

    Kernels are scaled so that no value of their output is larger than the largest of their input, and half precision
    can hold it. The normalisations undo the scales, which are powers of 2, so that nothing else changes.

    Args:
        net: Style net on the CPU, in float32; its weights are copied.
        inner: Kind of the layers of the residual blocks.
        enlarging: Kind of the layers that enlarge.
    """

    def __init__(self, net: StyleNet, inner: _Kind, enlarging: _Kind) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(Plain(*each) for each in _scaled(net.encoder))
        self.residuals = nn.ModuleList(
            nn.ModuleList(inner(*each) for each in _scaled(cast("nn.Sequential", block.branch)))
            for block in net.residuals
        )
        self.enlarging = nn.ModuleList(enlarging(*each) for each in _scaled(net.decoder))
        last = cast("nn.Conv2d", net.decoder[-1])
        self.width = last.in_channels
        self.to_pixels = net.to_pixels
        self.last = nn.Conv2d(4 * last.in_channels, 4 * last.out_channels, 5)
        self.last.weight.data = channels_last(fold_shuffle(last.weight.detach()))
        self.last.bias.data = cast("Tensor", last.bias).detach().repeat(4)  # type: ignore[union-attr]
        self.requires_grad_(requires_grad=False).eval()

    def finish(self, cells: Tensor) -> Tensor:
        """Map cells with a margin of 2 to cells `(H/2, W/2, 2, 2, 3)` of pixels in about [0, 1]."""
        values = convolve(cells.flatten(2), self.last.weight, self.last.bias)
        return _split_cells(self.to_pixels(values))


def convs_with_norms(layers: nn.Sequential) -> Iterator[tuple[nn.Conv2d, nn.InstanceNorm2d]]:
    """Return each convolution that a normalisation follows, together with that normalisation."""
    convs = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in layers if isinstance(layer, nn.InstanceNorm2d)]
    return zip(convs, norms, strict=False)  # the last convolution has no normalisation


def _scaled(layers: nn.Sequential) -> Iterator[tuple[nn.Conv2d, nn.InstanceNorm2d]]:
    """Return copies of what `convs_with_norms` returns, with kernels whose scale the normalisations undo."""
    for conv, norm in copy.deepcopy(list(convs_with_norms(layers))):
        exponent = math.frexp(conv.weight.abs().sum((1, 2, 3)).max().item())[1]
        conv.weight.data = torch.ldexp(conv.weight.detach(), torch.tensor(-exponent))
        norm.eps = math.ldexp(norm.eps, -2 * exponent)
        yield conv, norm


def channels_last(tensor: Tensor) -> Tensor:
    """Return a kernel in the layout in which channels are next to each other."""
    return tensor.contiguous(memory_format=torch.channels_last)


def convolve(frame: Tensor, kernel: Tensor, bias: Tensor | None = None, stride: int = 1) -> Tensor:
    """Convolve a frame `(H, W, C)`; the result is `(H, W, K)`, without margins."""
    return F.conv2d(frame.permute(2, 0, 1)[None], kernel, bias, stride)[0].permute(1, 2, 0)


def _split_cells(features: Tensor) -> Tensor:
    """Return features `(H/2, W/2, 4·C)`, in which the channels of a cell lie together, as cells."""
    return features.view(*features.shape[:2], 2, 2, -1)


def _free(features: Tensor) -> None:
    """Free the memory of one band at once, although the tensors of all bands are let go together."""
    features.untyped_storage().resize_(0)


def _total(tensors: Iterable[Tensor]) -> Tensor:
    return reduce(torch.add, tensors)


def _sum(features: Tensor) -> Tensor:
    """Return the sum of each channel; over rows first, which is many times as fast if they lie apart in memory."""
    return features.sum(0).flatten(end_dim=-2).sum(0)
