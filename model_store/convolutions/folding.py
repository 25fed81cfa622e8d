"""Folding: the exact replacement of several linear layers by one convolution.

A nearest ×2 enlargement followed by a convolution equals one convolution of the small picture that makes four times the
channels, followed by a pixel shuffle. Convolutions and pixel shuffles without anything between them equal one
convolution and one pixel shuffle. Folding avoids large intermediate pictures, whose reading and writing takes more time
than the multiplications.

A cell is the square of 2×2 pixels that one pixel of the small picture becomes. The channels that are made for the four
pixels of a cell are ordered (row, column, channel): `(2·row + column)·C + channel`.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_READS = torch.zeros(2, 3, 3)
"""Whether, for a row of a cell, a tap on the large picture reads the row of a tap on the small one; 1 or 0, indexed by
`[row, small tap, large tap]`."""
_READS[0, 0, 0] = _READS[0, 1, 1] = _READS[0, 1, 2] = 1
_READS[1, 1, 0] = _READS[1, 1, 1] = _READS[1, 2, 2] = 1


def fold_enlargement(kernel: Tensor) -> Tensor:
    """Fold the nearest ×2 enlargement before a convolution into its kernel.

    If the large picture is padded by reflection by 1, the small one must be padded by replication by 1.

    Args:
        kernel: The kernel of the convolution on the large picture, `(K, C, 3, 3)`.

    Returns:
        The kernel of the convolution on the small picture, which makes the four pixels of each cell, `(4·K, C, 3, 3)`.
    """
    outputs, inputs = kernel.shape[:2]
    reads = _READS.to(kernel)
    return torch.einsum("aiu,bjv,kcuv->abkcij", reads, reads, kernel).reshape(4 * outputs, inputs, 3, 3)


def fold_shuffle(kernel: Tensor) -> Tensor:
    """Fold the pixel shuffle before a convolution into its kernel.

    Args:
        kernel: The kernel of the convolution on the shuffled picture padded by `2n`, `(K, C, 4n+1, 4n+1)`.

    Returns:
        The kernel of the convolution on the cells padded by `n`, which makes the four pixels of each cell,
        `(4·K, 4·C, 2n+1, 2n+1)`.
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
    """Fold convolutions that are each followed by a pixel shuffle by 2, and one last convolution, into one.

    The result is exact except in the outermost cells, where each of the layers pads its own input with zeros.

    Args:
        upsample: The n convolutions of 3×3 from C to 4·C channels.
        last: The last convolution of 3×3, from C to K channels.

    Returns:
        A convolution of 5×5, padded by 2, from C to K·4ⁿ channels, to be followed by a pixel shuffle by 2ⁿ.
    """
    outputs, inputs = last.weight.shape[:2]
    # The dimensions are the output channel, the row and the column of the pixel in its cell, and those of any kernel.
    kernel = F.pad(last.weight, (1, 1, 1, 1)).view(outputs, 1, 1, inputs, 5, 5)
    for conv in reversed(upsample):
        side = kernel.shape[1]
        flat = kernel.reshape(-1, inputs, 5, 5)
        quarters = [
            # The transpose of the convolution and the shuffle maps a kernel on the large picture to one on the small.
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
