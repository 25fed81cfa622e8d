"""Transparency: colours that nobody sees must not reach those that are seen."""

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

_NEIGHBOURHOOD = 9
"""Pixels across in which the most visible one sets the measure; about the reach of a soft edge."""


def without_hidden_colours(pixels: Tensor, alpha: Tensor) -> Tensor:
    """The colours around it in every pixel that is wholly transparent.

    Args:
        pixels: uint8, `(H, W, 3)`.
        alpha: uint8, `(H, W)`.
    """
    hidden = alpha == 0
    if hidden.any() and not hidden.all():
        pixels[hidden] = _around(pixels, alpha, hidden).round_().byte()
    return pixels


def as_seen(pixels: Tensor, alpha: Tensor) -> Tensor:
    """A picture for a net, which looks at neighbours: each pixel counts as far as it is visible.

    What is as opaque as the most opaque nearby keeps its colour; what is less so takes the colours around it for the
    rest. So an even transparency changes nothing, and the rim of a soft edge has the colour of its inside.

    Args:
        pixels: uint8, `(H, W, 3)`, without hidden colours.
        alpha: uint8, `(H, W)`.
    """
    most = _highest_nearby(alpha)
    faint = (alpha > 0) & (alpha < most)
    if not faint.any():
        return pixels
    share = (alpha[faint] / most[faint])[:, None]
    seen = pixels.clone()
    seen[faint] = _around(pixels, alpha, faint).lerp_(pixels[faint].float(), share).round_().byte()
    return seen


def enlarge(alpha: Tensor, factor: int) -> Tensor:
    """Enlarges an alpha channel, `(H, W)` uint8, by itself (bicubic)."""
    height, width = alpha.shape
    enlarged = Image.fromarray(alpha.numpy()).resize((width * factor, height * factor), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(enlarged))


def _highest_nearby(alpha: Tensor) -> Tensor:
    """The highest alpha in the neighbourhood of each pixel."""
    reach = _NEIGHBOURHOOD // 2
    rows = F.max_pool2d(alpha[None].float(), (_NEIGHBOURHOOD, 1), stride=1, padding=(reach, 0))
    return F.max_pool2d(rows, (1, _NEIGHBOURHOOD), stride=1, padding=(0, reach))[0].byte()


def _around(pixels: Tensor, alpha: Tensor, where: Tensor) -> Tensor:
    """The mean colour of what is visible around some pixels, `(N, 3)`, float.

    Args:
        pixels: uint8, `(H, W, 3)`.
        alpha: uint8, `(H, W)`.
        where: bool, `(H, W)`; true for N pixels.
    """
    rgba = Image.fromarray(pixels.numpy())
    rgba.putalpha(Image.fromarray(alpha.numpy()))
    half = torch.from_numpy(np.array(rgba.convert("RGBa").reduce(2))).permute(2, 0, 1)[None].float()
    weights = half[:, 3:] / half[:, 3:].max().clamp_min(1)
    colours = _surroundings(half[:, :3] * 255 / half[:, 3:].clamp_min(1), weights)
    rows, columns = where.nonzero(as_tuple=True)
    return colours[0, :, rows // 2, columns // 2].T


def _surroundings(colours: Tensor, weights: Tensor) -> Tensor:
    """The colours as far as they are visible, and for the rest the mean over an ever larger area (push-pull).

    Args:
        colours: `(1, 3, H, W)`.
        weights: `(1, 1, H, W)`, from 0 to 1.
    """
    height, width = colours.shape[-2:]
    if height == width == 1 or weights.amin() == 1:
        return colours
    weighted, half = (
        F.avg_pool2d(each, 2, ceil_mode=True, count_include_pad=False) for each in (colours * weights, weights)
    )
    means = _surroundings(weighted / half.clamp_min(torch.finfo(half.dtype).tiny), half)
    return F.interpolate(means, (height, width), mode="bilinear").lerp_(colours, weights)
