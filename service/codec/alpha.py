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
    if not hidden.any() or hidden.all():
        return pixels
    return torch.where(hidden[..., None], _to_bytes(_surroundings(*_planes(pixels, alpha))), pixels)


def as_seen(pixels: Tensor, alpha: Tensor) -> Tensor:
    """A picture for a net, which looks at neighbours: each pixel counts as far as it is visible.

    What is as opaque as the most opaque nearby keeps its colour; what is less so takes the colours around it for the
    rest. So an even transparency changes nothing, and the rim of a soft edge has the colour of its inside.

    Args:
        pixels: uint8, `(H, W, 3)`.
        alpha: uint8, `(H, W)`.
    """
    if (alpha == alpha[0, 0]).all():
        return pixels
    colours, weights = _planes(pixels, alpha)
    most = F.max_pool2d(weights, _NEIGHBOURHOOD, stride=1, padding=_NEIGHBOURHOOD // 2)
    share = weights / most.clamp_min(1 / 255)
    return _to_bytes(_surroundings(colours, weights).lerp(colours, share))


def enlarge(alpha: Tensor, factor: int) -> Tensor:
    """Enlarges an alpha channel, `(H, W)` uint8, by itself (bicubic)."""
    height, width = alpha.shape
    enlarged = Image.fromarray(alpha.numpy()).resize((width * factor, height * factor), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(enlarged))


def _surroundings(colours: Tensor, weights: Tensor) -> Tensor:
    """The mean of what is visible around, over an area that grows until there is something: a pyramid (push-pull).

    Args:
        colours: `(1, 3, H, W)`.
        weights: `(1, 1, H, W)`, from 0.
    """
    height, width = colours.shape[-2:]
    if height == width == 1:
        return colours
    weighted, half = (
        F.avg_pool2d(each, 2, ceil_mode=True, count_include_pad=False) for each in (colours * weights, weights)
    )
    mean = torch.where(half > 0, weighted / half.clamp_min(torch.finfo(half.dtype).tiny), 0)
    filled = mean if (half > 0).all() else torch.where(half > 0, mean, _surroundings(mean, half))
    return F.interpolate(filled, (height, width), mode="bilinear", align_corners=False)


def _planes(pixels: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
    return pixels.permute(2, 0, 1)[None].float(), alpha[None, None] / 255


def _to_bytes(planes: Tensor) -> Tensor:
    return planes[0].round().clamp(0, 255).byte().permute(1, 2, 0).contiguous()
