"""Instance normalisation of features on CUDA that writes straight into the frame of the next convolution.

A frame is the input of a convolution with its border around it, so that the convolution itself does not pad. Between
two convolutions lie two passes: one reads the features for their statistics, the other reads them again and writes the
frame. Results do not depend on what else is in the batch, and not on chance.

Whatever is constant in a channel has no effect before a normalisation, which takes it away again. So frames are
shifted such that a flat picture's are 0: of anything else the convolutions might make a pattern of rounding errors,
which the normalisations would blow up.

Needs triton, which comes with torch's builds for CUDA: import this only where it is needed.
"""

from typing import NamedTuple

import torch
import triton
from torch import Tensor, nn

from service.inference.cuda import kernels

_BLOCK = 4096
"""Values in work at once in a block of threads: four loads of 16 bytes for each of 128 threads, if of two bytes."""
_MOST_PARTS = 512
"""That statistics of one picture are made from."""
_PARTS_AT_ONCE = 64


class Frame(NamedTuple):
    """How the input of a convolution lies in memory."""

    margin: int
    """Pixels of border on each side; even in cells, and less than the picture has."""
    reflects: bool = True
    """Whether the border is a reflection; else the outermost pixels are repeated."""
    in_cells: bool = False
    """Whether it consists of cells of 2×2 pixels, `(N, H/2, W/2, 4·C)` with the channels of the four in turn."""

    def shape(self, count: int, height: int, width: int, channels: int) -> tuple[int, int, int, int]:
        """Of the frame around so many pictures of `(height, width)` pixels."""
        height, width = height + 2 * self.margin, width + 2 * self.margin
        return (count, height // 2, width // 2, 4 * channels) if self.in_cells else (count, height, width, channels)


class Features(NamedTuple):
    """What a convolution makes."""

    values: Tensor
    """`(N, H, W, C)` or, in cells, `(N, H/2, W/2, 4·C)`, without gaps."""
    in_cells: bool = False

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """Pictures, height and width in pixels, channels of a pixel."""
        count, height, width, channels = self.values.shape
        return (count, 2 * height, 2 * width, channels // 4) if self.in_cells else (count, height, width, channels)


class Residual(NamedTuple):
    """What features are added to: the inside of a frame that is not in cells."""

    frame: Tensor
    margin: int


class Normalisation(nn.Module):
    """Does what an `InstanceNorm2d` does.

    Args:
        norm: with gain and bias in float32, which are copied.
        scale: of the features; what the norm was trained for was so many times as large.
    """

    gain: Tensor
    bias: Tensor

    def __init__(self, norm: nn.InstanceNorm2d, scale: float = 1) -> None:
        super().__init__()
        self.register_buffer("gain", norm.weight.detach().clone())
        self.register_buffer("bias", norm.bias.detach().clone())
        self.eps = norm.eps / scale**2

    def forward(self, features: Features, frame: Frame, residual: Residual | None = None) -> Tensor:
        """The next frame.

        Args:
            features: to normalise.
            frame: how to lay it out.
            residual: what to add the features to, without the bias; else their ReLU is taken, less what that is for a
                flat picture.
        """
        count, height, width, channels = features.sizes
        statistics = self._measure(features)
        out = features.values.new_empty(frame.shape(count, height, width, channels))
        block_channels = triton.next_power_of_2(channels)
        block_pixels = max(1, _BLOCK // block_channels)
        blocks = triton.cdiv(out.numel() // (count * channels), block_pixels)
        kernels.normalise[(count * blocks,)](
            features.values,
            statistics,
            self.bias,
            out if residual is None else residual.frame,
            out,
            height,
            width,
            blocks,
            CHANNELS=channels,
            BLOCK_CHANNELS=block_channels,
            BLOCK_PIXELS=block_pixels,
            FROM_CELLS=features.in_cells,
            TO_CELLS=frame.in_cells,
            MARGIN=frame.margin,
            REFLECTS=frame.reflects,
            ADDS=residual is not None,
            RESIDUAL_MARGIN=0 if residual is None else residual.margin,
            LARGEST=torch.finfo(out.dtype).max,
        )
        return out

    def _measure(self, features: Features) -> Tensor:
        """`(N, 2, C)`: the means, and gains over standard deviations."""
        count, height, width, channels = features.sizes
        rows = height * width
        block_channels = triton.next_power_of_2(channels)
        block_rows = max(1, _BLOCK // block_channels)
        rows_of_part = max(4 * block_rows, triton.cdiv(rows, _MOST_PARTS))
        parts = triton.cdiv(rows, rows_of_part)
        sums = features.values.new_empty(count, parts, 2, channels, dtype=torch.float32)
        kernels.sum_up[(count * parts,)](
            features.values,
            sums,
            rows,
            parts,
            rows_of_part,
            CHANNELS=channels,
            BLOCK_CHANNELS=block_channels,
            BLOCK_ROWS=block_rows,
        )
        statistics = sums.new_empty(count, 2, channels)
        block_channels = min(32, block_channels)
        kernels.combine[(count * triton.cdiv(channels, block_channels),)](
            sums,
            self.gain,
            statistics,
            rows,
            parts,
            rows_of_part,
            self.eps,
            CHANNELS=channels,
            BLOCK_CHANNELS=block_channels,
            BLOCK_PARTS=_PARTS_AT_ONCE,
        )
        return statistics
