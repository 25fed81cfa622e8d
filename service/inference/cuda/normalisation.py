"""Instance normalisation of features on CUDA that writes straight into the frame of the next convolution.

A frame is the input of a convolution with its border around it, so that the convolution itself does not pad. Between
two convolutions lie two passes: one reads the features for their statistics, the other reads them again and writes the
frame. Results are the same in every run, and do not depend on the other pictures of the batch.

A constant in a channel has no effect before a normalisation, which subtracts it again. So frames are shifted so that
those of a flat picture are 0: of any other constant the convolutions might make a pattern of rounding errors, which the
normalisations would amplify.

Needs triton, which comes with torch's builds for CUDA: import this only where it is needed.
"""

from typing import NamedTuple

import torch
import triton
from torch import Tensor, nn

from service.inference.cuda import kernels

_BLOCK = 4096
"""Number of values that a block of threads works on at once: if of two bytes each, four loads of 16 bytes for
each of 128 threads."""
_MOST_PARTS = 512
"""Largest number of parts that a picture is divided into for its statistics."""
_PARTS_AT_ONCE = 64
"""Number of parts whose statistics are combined at once."""


class Frame(NamedTuple):
    """The layout of a convolution's input in memory."""

    margin: int
    """Width of the border in pixels; less than the sides of the picture, and even if the frame is in cells."""
    reflects: bool = True
    """Whether the border is a reflection; otherwise it repeats the outermost pixels."""
    in_cells: bool = False
    """Whether the frame consists of cells of 2×2 pixels, `(N, H/2, W/2, 4·C)`, channels of the four in turn."""

    def shape(self, count: int, height: int, width: int, channels: int) -> tuple[int, int, int, int]:
        """Return the shape of the frame around `count` pictures of `height` × `width` pixels."""
        height, width = height + 2 * self.margin, width + 2 * self.margin
        return (count, height // 2, width // 2, 4 * channels) if self.in_cells else (count, height, width, channels)


class Features(NamedTuple):
    """The output of a convolution."""

    values: Tensor
    """`(N, H, W, C)` or, in cells, `(N, H/2, W/2, 4·C)`, without gaps."""
    in_cells: bool = False

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """Number of pictures, height and width in pixels, and number of channels of a pixel."""
        count, height, width, channels = self.values.shape
        return (count, 2 * height, 2 * width, channels // 4) if self.in_cells else (count, height, width, channels)


class Residual(NamedTuple):
    """The inside of a frame that is not in cells, to which features are added."""

    frame: Tensor
    margin: int


class Normalisation(nn.Module):
    """A normalisation that does what an `InstanceNorm2d` does, and writes a frame.

    Args:
        norm: Normalisation with gain and bias in float32, which are copied.
        scale: Factor by which the features that the norm was trained for are larger than those that it gets.
    """

    gain: Tensor
    bias: Tensor

    def __init__(self, norm: nn.InstanceNorm2d, scale: float = 1) -> None:
        super().__init__()
        self.register_buffer("gain", norm.weight.detach().clone())
        self.register_buffer("bias", norm.bias.detach().clone())
        self.eps = norm.eps / scale**2

    def forward(self, features: Features, frame: Frame, residual: Residual | None = None) -> Tensor:
        """Normalise features, and return the next frame.

        Args:
            features: Features to normalise.
            frame: Layout of the next frame.
            residual: Features to which the normalised ones are added, without the bias. Without a residual, the frame
                is the ReLU of the normalised features, less what this is for a flat picture.
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
        """Return the mean of each channel, and its gain over its standard deviation, `(N, 2, C)`."""
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
