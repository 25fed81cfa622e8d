"""The style net as a CPU computes it fastest, in float32 throughout.

Pictures are computed one at a time, because a batch gains a CPU nothing. Convolutions at the quarter size and the
enlarging ones are Winograd's, enlargements are folded into them, and the last convolution makes cells of 2×2 pixels.
Each normalisation writes straight into a frame, the padded input of the next convolution.

Whatever is constant in a channel has no effect between two normalisations, because the second takes it away again.
So biases are left out, and the mean is subtracted before Winograd's convolutions, whose rounding errors are in
proportion to what they are given: of a flat picture they would make a pattern, which normalisation would blow up.

Shapes: features are `(H, W, C)`, cells of 2×2 pixels `(H/2, W/2, 2, 2, C)`.
"""

from collections.abc import Iterator
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_store.nets import StyleNet, TransformNet
from service.inference import winograd
from service.inference.folding import fold_enlargement, fold_shuffle


class CpuStyleNet(TransformNet):
    """Does what a `StyleNet` does, to rounding.

    Args:
        net: on the CPU, in float32; its weights are copied.
    """

    multiple = StyleNet.multiple

    def __init__(self, net: StyleNet) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(_Strided(*each) for each in _convs_with_norms(net.encoder))
        self.residuals = nn.ModuleList(
            nn.ModuleList(_Winograd(*each) for each in _convs_with_norms(cast("nn.Sequential", block.branch)))
            for block in net.residuals
        )
        self.enlarging = nn.ModuleList(_Enlarging(*each) for each in _convs_with_norms(net.decoder))
        last = cast("nn.Conv2d", net.decoder[-1])
        self.last = nn.Conv2d(4 * last.in_channels, 4 * last.out_channels, 5)
        self.last.weight.data = _channels_last(fold_shuffle(last.weight.detach()))
        self.last.bias.data = cast("Tensor", last.bias).detach().repeat(4)  # type: ignore[union-attr]
        self.requires_grad_(requires_grad=False).eval()

    def transform(self, pictures: Tensor) -> Tensor:
        """`(N, 3, H, W)` with H and W multiples of 4, to the same shape, laid out channels-last."""
        return torch.stack([self._paint(picture) for picture in pictures]).permute(0, 3, 1, 2)

    def _paint(self, picture: Tensor) -> Tensor:
        """`(3, H, W)` to `(H, W, 3)`."""
        frame = F.pad(picture[None] * 2 - 1, (4, 4, 4, 4), mode="reflect")[0].permute(1, 2, 0).contiguous()
        for layer in self.encoder:
            frame = _framed(*layer(frame))
            _reflect(frame)
        _centre(frame[1:-1, 1:-1])
        _reflect(frame)
        for block in self.residuals:
            first, second = cast("nn.ModuleList", block)
            branch = _framed(*first(frame))
            _centre(branch[1:-1, 1:-1])
            _reflect(branch)
            features, scale, _ = second(branch)
            frame[1:-1, 1:-1].addcmul_(features, scale)
            _reflect(frame)
        _replicate(frame)
        enlarge, enlarge_again = self.enlarging
        cells, scale, shift = enlarge(frame)
        height, width, *_, channels = cells.shape
        frame = cells.new_empty(2 * height + 2, 2 * width + 2, channels)
        _activate(cells, scale, shift, out=_as_cells(frame[1:-1, 1:-1]))
        _centre(frame[1:-1, 1:-1])
        _replicate(frame)
        cells, scale, shift = enlarge_again(frame)
        height, width, *_, channels = cells.shape
        framed_cells = cells.new_empty(height + 4, width + 4, 2, 2, channels)
        _activate(cells, scale, shift, out=framed_cells[2:-2, 2:-2])
        _reflect_cells(framed_cells)
        painted = _convolve(framed_cells.flatten(2), self.last.weight, self.last.bias).tanh_().mul_(0.55).add_(0.5)
        pixels = painted.new_empty(2 * height, 2 * width, 3)
        _as_cells(pixels).copy_(painted.view(height, width, 2, 2, 3))
        return pixels


class _Layer(nn.Module):
    """A convolution and the normalisation after it."""

    gain: Tensor
    shift: Tensor

    def __init__(self, norm: nn.InstanceNorm2d) -> None:
        super().__init__()
        self.register_buffer("gain", norm.weight.detach().clone())
        self.register_buffer("shift", norm.bias.detach().clone())
        self.eps = norm.eps

    def convolve(self, frame: Tensor) -> Tensor:
        """`(H+2, W+2, C)` to features or cells that nobody else holds."""
        raise NotImplementedError

    def forward(self, frame: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features or cells with mean 0, and by what to multiply them and what then to add to normalise them."""
        features = self.convolve(frame)
        _centre(features)
        variance = _mean(features.square())
        return features, self.gain * torch.rsqrt(variance + self.eps), self.shift


class _Strided(_Layer):
    kernel: Tensor

    def __init__(self, conv: nn.Conv2d, norm: nn.InstanceNorm2d) -> None:
        super().__init__(norm)
        self.register_buffer("kernel", _channels_last(conv.weight.detach()))
        self.stride = conv.stride[0]

    def convolve(self, frame: Tensor) -> Tensor:
        return _convolve(frame, self.kernel, stride=self.stride)


class _Winograd(_Layer):
    kernel: Tensor

    def __init__(self, conv: nn.Conv2d, norm: nn.InstanceNorm2d) -> None:
        super().__init__(norm)
        self.register_buffer("kernel", winograd.transform_kernel(conv.weight.detach()))

    def convolve(self, frame: Tensor) -> Tensor:
        return winograd.convolve(frame, self.kernel)


class _Enlarging(_Winograd):
    def __init__(self, conv: nn.Conv2d, norm: nn.InstanceNorm2d) -> None:
        super().__init__(conv, norm)
        self.kernel = winograd.transform_kernel(fold_enlargement(conv.weight.detach()))

    def convolve(self, frame: Tensor) -> Tensor:
        cells = super().convolve(frame)
        return cells.view(*cells.shape[:2], 2, 2, -1)


def _convs_with_norms(layers: nn.Sequential) -> Iterator[tuple[nn.Conv2d, nn.InstanceNorm2d]]:
    convs = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in layers if isinstance(layer, nn.InstanceNorm2d)]
    return zip(convs, norms, strict=False)  # the last convolution has no normalisation


def _channels_last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last)


def _convolve(frame: Tensor, kernel: Tensor, bias: Tensor | None = None, stride: int = 1) -> Tensor:
    return F.conv2d(frame.permute(2, 0, 1)[None], kernel, bias, stride)[0].permute(1, 2, 0)


def _mean(features: Tensor) -> Tensor:
    """Of each channel; rows first, which is many times as fast inside a frame."""
    return features.mean(0).flatten(end_dim=-2).mean(0)


def _centre(features: Tensor) -> None:
    """Makes the mean of each channel 0; with the mean of squares many times as fast as `torch.var_mean`."""
    features.sub_(_mean(features))


def _activate(features: Tensor, scale: Tensor, shift: Tensor, out: Tensor) -> None:
    torch.addcmul(shift, features, scale, out=out).clamp_min_(0)


def _framed(features: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Activated, inside a border of 1 that is yet to be filled."""
    height, width, channels = features.shape
    frame = features.new_empty(height + 2, width + 2, channels)
    _activate(features, scale, shift, out=frame[1:-1, 1:-1])
    return frame


def _as_cells(pixels: Tensor) -> Tensor:
    """A view of `(2·H, 2·W, C)` as `(H, W, 2, 2, C)`."""
    height, width, channels = pixels.shape
    by_row, by_column, _ = pixels.stride()
    shape = (height // 2, width // 2, 2, 2, channels)
    return pixels.as_strided(shape, (2 * by_row, 2 * by_column, by_row, by_column, 1), pixels.storage_offset())


def _reflect(frame: Tensor) -> None:
    """Fills the border of 1 by reflection."""
    for lines in (frame, frame.transpose(0, 1)):
        lines[0], lines[-1] = lines[2], lines[-3]


def _replicate(frame: Tensor) -> None:
    """Fills the border of 1 by replication."""
    for lines in (frame, frame.transpose(0, 1)):
        lines[0], lines[-1] = lines[1], lines[-2]


def _reflect_cells(frame: Tensor) -> None:
    """Fills the border of 2 cells by reflection of their pixels."""
    for axis in (0, 1):
        even, odd = frame.transpose(0, axis).unbind(2 + axis)
        for k in (1, 2):
            even[2 - k], odd[2 - k] = even[2 + k], odd[1 + k]
            even[k - 3], odd[k - 3] = even[-2 - k], odd[-3 - k]
