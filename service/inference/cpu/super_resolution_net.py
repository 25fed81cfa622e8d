"""The super-resolution net in the form that a CPU computes fastest, in float32 throughout.

All convolutions of 64 channels to 64 use Winograd's algorithm. Pictures are computed one at a time, in bands of rows
that the cores share. A band is so small that what a convolution makes of it is still in the core's cache when it is
activated or added. Frames have a margin of zeros, with which each convolution pads its input; nothing overwrites it.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_store.convolutions import winograd
from model_store.nets import SuperResolutionNet
from model_store.nets.super_resolution_net import MEAN_LEVEL
from service.inference import pieces
from service.inference.cpu import bands
from service.inference.cpu.layers import convolve
from service.inference.super_resolution_net import FoldedSuperResolutionNet

_BAND_PIXELS = 2**13
"""Number of pixels in a band, at least a row of tiles: 2 MB of 64 channels."""


class CpuSuperResolutionNet(FoldedSuperResolutionNet):
    """A net that makes what a `SuperResolutionNet` makes, up to rounding, on as many cores as torch may use.

    Args:
        net: Net on the CPU, in float32; it is taken apart.
    """

    def __init__(self, net: SuperResolutionNet) -> None:
        super().__init__(net)
        branches = (cast("nn.Sequential", block.branch) for block in net.body)
        self.blocks = nn.ModuleList(
            nn.ModuleList(_Winograd(layer) for layer in branch if isinstance(layer, nn.Conv2d)) for branch in branches
        )
        self.tail = _Winograd(net.tail)
        net.body = nn.Sequential()  # its kernels would be kept twice
        self.requires_grad_(requires_grad=False).eval()

    @property
    def bytes_per_pixel(self) -> int:
        """Bytes of memory for each pixel of the input; see `TransformNet.bytes_per_pixel`."""
        channels = self.net.head.out_channels
        return max(10 * channels, 5 * channels + 36 * self.factor**2)

    def features(self, pictures: Tensor) -> Tensor:
        """Map pictures, `(N, 3, H, W)`, to features, `(N, C, H, W)`, laid out channels-last."""
        with bands.threads_of_one_core() as cores:
            return torch.stack([self._features_of(picture, cores) for picture in pictures]).permute(0, 3, 1, 2)

    def _features_of(self, picture: Tensor, cores: int) -> Tensor:
        """Map one picture `(3, H, W)` to features `(H, W, C)`."""
        height, width = picture.shape[1:]
        padded = F.pad(picture - MEAN_LEVEL, (1, 1, 1, 1)).permute(1, 2, 0).contiguous()
        tiles = math.ceil(height / winograd.TILE)
        most = max(1, _BAND_PIXELS // (winograd.TILE * width))
        split = bands.split(tiles, cores * math.ceil(tiles / (most * cores)))
        rows = bands.rows_of(split, winograd.TILE, height)

        def for_each_band(work: Callable[[slice], object]) -> None:
            pieces.pause()
            bands.compute(work, rows, cores)

        def head(band: slice) -> Tensor:
            return convolve(padded[band.start : band.stop + 2], self.net.head.weight, self.net.head.bias)

        frame, branch = (picture.new_zeros(height + 2, width + 2, self.net.head.out_channels) for _ in range(2))
        inside, inside_branch = frame[1:-1, 1:-1], branch[1:-1, 1:-1]
        for_each_band(lambda band: inside[band].copy_(head(band)))
        for first, second in (cast("nn.ModuleList", block) for block in self.blocks):
            for_each_band(partial(_activate, cast("_Winograd", first), frame, inside_branch))
            for_each_band(partial(_add, cast("_Winograd", second), branch, inside))
        del branch, inside_branch
        features = frame.new_empty(inside.shape)
        # The head is computed once more, which is less work than to keep it.
        for_each_band(lambda band: torch.add(self.tail(frame, band), head(band), out=features[band]))
        return features


class _Winograd(nn.Module):
    """A 3×3 convolution by Winograd's algorithm."""

    kernel: Tensor
    bias: Tensor

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.register_buffer("kernel", winograd.transform_kernel(conv.weight.detach()))
        self.register_buffer("bias", cast("Tensor", conv.bias).detach().clone())

    def forward(self, frame: Tensor, rows: slice) -> Tensor:
        """Return some rows of the output, `(h, W, C)`."""
        return winograd.convolve(frame[None, rows.start : rows.stop + 2], self.kernel, self.bias)[0]


def _activate(conv: _Winograd, frame: Tensor, out: Tensor, rows: slice) -> None:
    torch.clamp_min(conv(frame, rows), 0, out=out[rows])


def _add(conv: _Winograd, frame: Tensor, out: Tensor, rows: slice) -> None:
    out[rows].add_(conv(frame, rows))
