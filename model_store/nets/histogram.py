"""Histogram matching (Gonzalez and Woods), which gives a picture the colours of another, each channel by itself.

Johnson et al. 2016, section 4.2, match the output of a super-resolution net to its small input, because a net trained
with a feature loss shifts the colours.
"""

import torch
from torch import Tensor

_TOP_LEVEL = 65_535
"""The level that 1.0 is rounded to; 0.0 is level 0."""


def match(pictures: Tensor, reference: Tensor) -> Tensor:
    """Map the values of each channel so that they are distributed as in the reference.

    A value becomes the quantile of the reference at the value's own rank, by linear interpolation between neighbouring
    ranks. Equal values have the middle of their ranks and so stay equal; a constant channel becomes the reference's
    median. Values are rounded to 16 bits, which makes the time linear in the number of pixels; 8-bit values are exact.

    Args:
        pictures: The pictures, float `(N, C, H, W)` in [0, 1]; values outside are clamped.
        reference: The pictures whose colours to take, float `(N, C, h, w)` or `(1, C, h, w)` in [0, 1], of any size.

    Returns:
        The pictures with their new colours, `(N, C, H, W)` in [0, 1], of the type of `pictures`.
    """
    wanted = reference.expand(len(pictures), *pictures.shape[1:2], -1, -1).flatten(0, 1)
    planes = [_match_plane(*pair) for pair in zip(pictures.flatten(0, 1), wanted, strict=True)]
    return torch.stack(planes).view_as(pictures)


def _match_plane(plane: Tensor, reference: Tensor) -> Tensor:
    levels = _levels(plane)
    counts = _counts(levels)
    rank = (counts.cumsum(0) - counts.double() / 2) / levels.numel()
    position = (rank * reference.numel() - 0.5).clamp(0, reference.numel() - 1)
    up_to = _counts(_levels(reference)).cumsum(0)
    below, above = (torch.searchsorted(up_to, each, right=True) for each in (position.floor(), position.ceil()))
    quantiles = torch.lerp(below.double(), above.double(), position.frac())
    return (quantiles / _TOP_LEVEL).to(plane.dtype)[levels]


def _levels(plane: Tensor) -> Tensor:
    return plane.clamp(0, 1).mul(_TOP_LEVEL).round().long()


def _counts(levels: Tensor) -> Tensor:
    """Count how often each level occurs, `(65536,)`."""
    return torch.bincount(levels.flatten(), minlength=_TOP_LEVEL + 1)
