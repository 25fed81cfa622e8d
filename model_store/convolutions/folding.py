"""Several linear layers as one convolution, exactly.

A nearest ×2 enlargement followed by a convolution is one convolution of the small picture that makes four times the
channels, then a pixel shuffle; convolutions and pixel shuffles without anything between them are one convolution and
one pixel shuffle. Folding leaves large intermediate pictures out, which costs more time than multiplying does.

Channels made for the four pixels of a cell are ordered (row, column, channel): `(2·row + column)·C + channel`.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_READS = torch.zeros(2, 3, 3)
"""`[row, small tap, large tap]`: which taps on the large picture read which row of the small one."""
_READS[0, 0, 0] = _READS[0, 1, 1] = _READS[0, 1, 2] = 1
_READS[1, 1, 0] = _READS[1, 1, 1] = _READS[1, 2, 2] = 1


def fold_enlargement(kernel: Tensor) -> Tensor:
    """Folds the nearest ×2 enlargement before a convolution into it.

    A large picture padded by reflection by 1 is its small one padded by replication by 1.

    Args:
        kernel: `(K, C, 3, 3)`.

    Returns:
        `(4·K, C, 3, 3)`, for the small picture, making the four pixels of each cell.
    """
    outputs, inputs = kernel.shape[:2]
    reads = _READS.to(kernel)
    return torch.einsum("aiu,bjv,kcuv->abkcij", reads, reads, kernel).reshape(4 * outputs, inputs, 3, 3)


def fold_shuffle(kernel: Tensor) -> Tensor:
    """Folds the pixel shuffle before a convolution into it, and makes four pixels at a time.

    Args:
        kernel: `(K, C, 4n+1, 4n+1)`, for the shuffled picture padded by `2n`.

    Returns:
        `(4·K, 4·C, 2n+1, 2n+1)`, for the cells padded by `n`, making the four pixels of each cell.
    """
    outputs, inputs, side, _ = kernel.shape
    cells = (side + 1) // 2
    padded = F.pad(kernel, (1, 1, 1, 1))
    quarters = [
        padded[..., 1 - row : side + 2 - row, 1 - column : side + 2 - column] for row in range(2) for column in range(2)
    ]
    taps = torch.stack(quarters).view(4, outputs, inputs, cells, 2, cells, 2)
    return taps.permute(0, 1, 4, 6, 2, 3, 5).reshape(4 * outputs, 4 * inputs, cells, cells)


@torch.no_grad()
def fold_tail(upsample: Sequence[nn.Conv2d], last: nn.Conv2d) -> nn.Conv2d:
    """Folds convolutions, each followed by a pixel shuffle by 2, and one last convolution, into one.

    Exact except in the outermost cells, where each of the layers pads with zeros of its own.

    Args:
        upsample: n convolutions of 3×3 from C to 4·C channels.
        last: of 3×3, from C to K channels.

    Returns:
        A convolution of 5×5, padded by 2, from C to K·4ⁿ channels, to be followed by a pixel shuffle by 2ⁿ.
    """
    outputs, inputs = last.weight.shape[:2]
    kernel = F.pad(last.weight, (1, 1, 1, 1)).view(outputs, 1, 1, inputs, 5, 5)
    """By output channel, row and column of the pixel in its cell; the rest as usual."""
    for conv in reversed(upsample):
        side = kernel.shape[1]
        flat = kernel.reshape(-1, inputs, 5, 5)
        quarters = [
            # The transpose of conv and shuffle takes what the large picture is read by to what the small one is.
            F.conv_transpose2d(
                F.pixel_unshuffle(F.pad(flat, (2 + column, 3 - column, 2 + row, 3 - row)), 2), conv.weight, padding=1
            )
            for row in range(2)
            for column in range(2)
        ]
        kernel = torch.stack(quarters).view(2, 2, outputs, side, side, inputs, 5, 5)
        kernel = kernel.permute(2, 0, 3, 1, 4, 5, 6, 7).reshape(outputs, 2 * side, 2 * side, inputs, 5, 5)
    cells = outputs * kernel.shape[1] ** 2
    folded = nn.Conv2d(inputs, cells, 5, padding=2, device=last.weight.device)
    folded.weight.copy_(kernel.reshape(cells, inputs, 5, 5))
    features = last.weight.new_zeros(1, inputs, 5, 5)
    for conv in upsample:
        features = F.pixel_shuffle(conv(features), 2)
    folded.bias.copy_(F.pixel_unshuffle(last(features), kernel.shape[1])[0, :, 2, 2])  # type: ignore[union-attr]
    return folded
