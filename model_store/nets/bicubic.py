"""Bicubic resampling as MATLAB's `imresize` does it, which is the reference of the super-resolution literature.

It uses Keys' kernel with a = -0.5, widened by the factor for shrinking (antialiasing), repeats the edge pixels beyond
the border, and resamples rows before columns.
"""

import torch.nn.functional as F
from torch import Tensor

_KERNEL_RADIUS = 2
"""The radius of the kernel, in pixels of the smaller picture."""

REACH = _KERNEL_RADIUS + 1
"""Pixels beyond a part of a picture that its enlargement depends on, at most."""


def enlarge(pictures: Tensor, factor: int) -> Tensor:
    """Enlarge float pictures, `(N, C, H, W)`, to `(N, C, H·factor, W·factor)`."""
    height, width = pictures.shape[-2:]
    margin = REACH
    padded = F.pad(pictures, (margin,) * 4, mode="replicate")
    size = ((height + 2 * margin) * factor, (width + 2 * margin) * factor)
    resized = F.interpolate(padded, size, mode="bicubic", antialias=True)
    start = margin * factor
    return resized[..., start : start + height * factor, start : start + width * factor]


def shrink(pictures: Tensor, factor: int, *, eight_bit: bool = False) -> Tensor:
    """Shrink float pictures, `(N, C, H, W)`, to `(N, C, H/factor, W/factor)`.

    Args:
        pictures: The pictures, in [0, 1].
        factor: The factor, which must divide H and W.
        eight_bit: Whether to round to multiples of 1/255 after the rows and again after the columns, as `imresize` does
            with a uint8 picture.

    Raises:
        ValueError: The factor does not divide the height or width.
    """
    height, width = pictures.shape[-2:]
    if height % factor or width % factor:
        raise ValueError(f"cannot shrink {width}×{height} by {factor}: crop it to a multiple of {factor} first")
    for _ in ("rows", "columns"):
        pictures = _shrink_rows(pictures, factor).mT
        if eight_bit:
            pictures = pictures.mul(255).round().clamp(0, 255).div(255)
    return pictures


def _shrink_rows(pictures: Tensor, factor: int) -> Tensor:
    height, width = pictures.shape[-2:]
    margin = _KERNEL_RADIUS * factor
    padded = F.pad(pictures, (0, 0, margin, margin), mode="replicate")
    size = (height // factor + 2 * _KERNEL_RADIUS, width)
    resized = F.interpolate(padded, size, mode="bicubic", antialias=True)
    return resized[..., _KERNEL_RADIUS:-_KERNEL_RADIUS, :]
