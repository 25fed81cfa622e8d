"""Giving a picture the colours of another: histogram matching (Gonzalez and Woods), each channel by itself.

Johnson et al. 2016, section 4.2, match the output of a super-resolution net to its small input, because a net trained
with a feature loss shifts the colours.
"""

import torch
from torch import Tensor

_TOP_LEVEL = 65_535


def match(pictures: Tensor, reference: Tensor) -> Tensor:
    """Maps the values of each channel so that they are distributed as in the reference.

    A value goes to the reference's quantile of its own rank, by linear interpolation between neighbouring ranks. Equal
    values stay equal, their rank being the middle of theirs, so that a constant channel becomes the reference's median.
    Values are told apart to 16 bits, which makes this linear in the number of pixels; 8-bit ones are kept exactly.

    Args:
        pictures: float in [0, 1], `(N, C, H, W)`; what is outside is clamped.
        reference: the same, `(N, C, h, w)` or `(1, C, h, w)` of any size.

    Returns:
        `(N, C, H, W)` in [0, 1], of the type of `pictures`.
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
    """How often each level occurs."""
    return torch.bincount(levels.flatten(), minlength=_TOP_LEVEL + 1)
