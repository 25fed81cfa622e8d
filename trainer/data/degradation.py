"""The degradation that turns a large picture into the small one that super-resolution starts from."""

import torch
import torch.nn.functional as F
from torch import Tensor

from model_store.nets import bicubic

PAPER_SIGMA = 1.0
"""σ of the Gaussian blur of Johnson et al. 2016 (section 4.2), in pixels of the large picture."""
LARGEST_SIGMA = 2.0
"""Largest σ of a blur, in pixels of the large picture."""

_RADIUS = 8  # 4·LARGEST_SIGMA
_NO_BLUR = 1e-3  # a σ whose Gaussian is 1 in the middle and 0 beside it


def degrade(pictures: Tensor, factor: int, sigma: float | Tensor = 0.0) -> Tensor:
    """Blur pictures with a Gaussian, if asked to, and shrink them by the bicubic protocol of the ×4 literature.

    The blur repeats the edge pixel beyond the border and is not rounded to 8 bits. It neither waits for the device nor
    depends on the values of σ, so it can be captured in a CUDA graph.

    Args:
        pictures: Float RGB in [0, 1], `(N, 3, H, W)`.
        factor: Factor to shrink by, which divides H and W.
        sigma: σ of the blur in pixels of the large picture, from 0 (no blur) to 2.0; one number for all pictures or one
            for each, `(N,)`, on the device of the pictures.

    Returns:
        The small pictures, `(N, 3, H/factor, W/factor)`, rounded to multiples of 1/255.

    Raises:
        ValueError: The factor does not divide the size, or a σ given as a number is out of range.
    """
    if not isinstance(sigma, Tensor):
        if not 0 <= sigma <= LARGEST_SIGMA:
            raise ValueError(f"cannot blur with a sigma of {sigma}: it must be from 0 to {LARGEST_SIGMA}")
        if sigma == 0:
            return bicubic.shrink(pictures, factor, eight_bit=True)
        sigma = pictures.new_full((len(pictures),), sigma)
    return bicubic.shrink(_blur(pictures, sigma.to(pictures)), factor, eight_bit=True)


def _blur(pictures: Tensor, sigma: Tensor) -> Tensor:
    """Blur pictures `(N, C, H, W)`, each with its own σ, `(N,)`; a picture whose σ is 0 stays exactly as it is."""
    count, channels, height, width = pictures.shape
    offsets = torch.arange(-_RADIUS, _RADIUS + 1, device=pictures.device)
    profiles = torch.exp(-0.5 * (offsets / sigma.clamp(min=_NO_BLUR)[:, None]).square())
    profiles = (profiles / profiles.sum(1, keepdim=True)).repeat_interleave(channels, 0)
    planes = pictures.reshape(1, count * channels, height, width)
    planes = F.pad(planes, (_RADIUS,) * 4, mode="replicate")
    planes = F.conv2d(planes, profiles[:, None, :, None], groups=len(profiles))
    planes = F.conv2d(planes, profiles[:, None, None, :], groups=len(profiles))
    return torch.where(sigma.view(-1, 1, 1, 1) > 0, planes.view_as(pictures), pictures)
