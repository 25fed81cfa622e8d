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


def match_bytes(pixels: Tensor, reference: Tensor) -> Tensor:
    """Map the values of each channel as `match` does, without a copy of the picture in another type.

    Args:
        pixels: The picture, uint8 `(H, W, C)`; it is changed in place.
        reference: The picture whose colours to take, uint8 `(h, w, C)`.

    Returns:
        The same `pixels`.
    """
    for channel in range(pixels.shape[-1]):
        plane = pixels[..., channel]
        counts, wanted = (_counts_of_bytes(each) for each in (plane, reference[..., channel]))
        table = _matched(counts, wanted).float()[:: _TOP_LEVEL // 255].mul(255).round().byte().numpy()
        for row in plane.numpy():
            row[:] = table[row]
    return pixels


def _match_plane(plane: Tensor, reference: Tensor) -> Tensor:
    levels = _levels(plane)
    return _matched(_counts(levels), _counts(_levels(reference))).to(plane.dtype)[levels]


def _matched(counts: Tensor, wanted: Tensor) -> Tensor:
    """Return the new value of each level, float64 `(65536,)` in [0, 1], by how often levels occur and should occur."""
    number = int(wanted.sum())
    rank = (counts.cumsum(0) - counts.double() / 2) / counts.sum()
    position = (rank * number - 0.5).clamp(0, number - 1)
    up_to = wanted.cumsum(0)
    below, above = (torch.searchsorted(up_to, each, right=True) for each in (position.floor(), position.ceil()))
    return torch.lerp(below.double(), above.double(), position.frac()) / _TOP_LEVEL


def _levels(plane: Tensor) -> Tensor:
    return plane.clamp(0, 1).mul(_TOP_LEVEL).round().long()


def _counts(levels: Tensor) -> Tensor:
    """Count how often each level occurs, `(65536,)`."""
    return torch.bincount(levels.flatten(), minlength=_TOP_LEVEL + 1)


def _counts_of_bytes(plane: Tensor) -> Tensor:
    """Count how often each level occurs in uint8 values `(H, W)`, `(65536,)`; only every 257th level does."""
    counts = torch.zeros(_TOP_LEVEL + 1, dtype=torch.long)
    for row in plane:
        counts[:: _TOP_LEVEL // 255] += torch.bincount(row, minlength=256)
    return counts
