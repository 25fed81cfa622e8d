"""Transparency: keeping the invisible colours of transparent pixels from influencing the visible ones."""

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

_NEIGHBOURHOOD = 9
"""Width in pixels of the square around a pixel whose highest alpha it is compared with: about that of a soft edge."""


def without_hidden_colours(pixels: Tensor, alpha: Tensor) -> Tensor:
    """Give every wholly transparent pixel the visible colours around it; `pixels` is changed in place.

    Args:
        pixels: The colours, uint8 `(H, W, 3)`.
        alpha: The opacity, uint8 `(H, W)`.
    """
    hidden = alpha == 0
    if hidden.any() and not hidden.all():
        pixels[hidden] = _around(pixels, alpha, hidden).round_().byte()
    return pixels


def as_seen(pixels: Tensor, alpha: Tensor) -> Tensor:
    """Return the picture that a net is to see, in which the colour of a pixel counts as far as it is visible.

    A net looks at neighbours, and so would spread the colours of faint pixels. A pixel that is as opaque as the most
    opaque one nearby keeps its colour; one that is less opaque is mixed with the colours around it. So an even
    transparency changes nothing, and the rim of a soft edge gets the colour of its inside.

    Args:
        pixels: The colours, uint8 `(H, W, 3)`, as from `without_hidden_colours`.
        alpha: The opacity, uint8 `(H, W)`.
    """
    most = _highest_nearby(alpha)
    faint = (alpha > 0) & (alpha < most)
    if not faint.any():
        return pixels
    share = (alpha[faint] / most[faint])[:, None]
    seen = pixels.clone()
    seen[faint] = _around(pixels, alpha, faint).lerp_(pixels[faint].float(), share).round_().byte()
    return seen


def enlarge(alpha: Tensor, factor: float) -> Tensor:
    """Enlarge an alpha channel, uint8 `(H, W)`, by bicubic interpolation to `(H·factor, W·factor)`."""
    height, width = alpha.shape
    size = (round(width * factor), round(height * factor))
    enlarged = Image.fromarray(alpha.numpy()).resize(size, Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(enlarged))


def _highest_nearby(alpha: Tensor) -> Tensor:
    """Return the highest alpha in the neighbourhood of each pixel, `(H, W)`."""
    reach = _NEIGHBOURHOOD // 2
    rows = F.max_pool2d(alpha[None].float(), (_NEIGHBOURHOOD, 1), stride=1, padding=(reach, 0))
    return F.max_pool2d(rows, (1, _NEIGHBOURHOOD), stride=1, padding=(0, reach))[0].byte()


def _around(pixels: Tensor, alpha: Tensor, where: Tensor) -> Tensor:
    """Return the mean colour of the visible pixels around some pixels, float `(N, 3)` from 0 to 255.

    Args:
        pixels: The colours, uint8 `(H, W, 3)`.
        alpha: The opacity, uint8 `(H, W)`.
        where: The mask of the N pixels, bool `(H, W)`.
    """
    rgba = Image.fromarray(pixels.numpy())
    rgba.putalpha(Image.fromarray(alpha.numpy()))
    half = torch.from_numpy(np.array(rgba.convert("RGBa").reduce(2))).permute(2, 0, 1)[None].float()
    weights = half[:, 3:] / half[:, 3:].max().clamp_min(1)
    colours = _surroundings(half[:, :3] * 255 / half[:, 3:].clamp_min(1), weights)
    rows, columns = where.nonzero(as_tuple=True)
    return colours[0, :, rows // 2, columns // 2].T


def _surroundings(colours: Tensor, weights: Tensor) -> Tensor:
    """Fill the invisible part of each pixel with the mean colour over an ever larger area (push-pull).

    Args:
        colours: The colours, `(1, 3, H, W)`.
        weights: The visible share of each pixel, from 0 to 1, `(1, 1, H, W)`.
    """
    height, width = colours.shape[-2:]
    if height == width == 1 or weights.amin() == 1:
        return colours
    weighted, half = (
        F.avg_pool2d(each, 2, ceil_mode=True, count_include_pad=False) for each in (colours * weights, weights)
    )
    means = _surroundings(weighted / half.clamp_min(torch.finfo(half.dtype).tiny), half)
    return F.interpolate(means, (height, width), mode="bilinear").lerp_(colours, weights)
