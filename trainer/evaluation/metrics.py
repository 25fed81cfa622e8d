"""PSNR and SSIM as the super-resolution literature reports them: on luma, without the border."""

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

_HIGHEST_PSNR = 100.0
"""PSNR of equal pictures, in dB, which would else be infinite."""
_HALF_WINDOW = 5
"""Number of pixels at each edge where the window of SSIM does not fit."""


def luma(pictures: Tensor) -> Tensor:
    """Return Y of YCbCr (ITU-R BT.601, 16..235) of RGB in [0, 1], `(N, 3, H, W)` to `(N, 1, H, W)`, float64.

    The picture is rounded to 8 bits first, as it would be when saved.
    """
    rounded = pictures.double().mul(255).round().clamp(0, 255).div(255)
    weights = torch.tensor([65.481, 128.553, 24.966], dtype=torch.float64, device=pictures.device)
    return 16 + (rounded * weights.view(3, 1, 1)).sum(1, keepdim=True)


def psnr(luma_a: Tensor, luma_b: Tensor, border: int) -> float:
    """Return the peak signal-to-noise ratio in dB (peak 255), without `border` pixels at each edge; at most 100."""
    error = (_inside(luma_a, border) - _inside(luma_b, border)).square().mean()
    return min(float(10 * torch.log10(255**2 / error)), _HIGHEST_PSNR)


def ssim(luma_a: Tensor, luma_b: Tensor, border: int) -> float:
    """Return the structural similarity (Wang et al. 2004), which is 1 for equal pictures.

    The window is a Gaussian of 11×11 with σ 1.5. The mean is taken over the positions where it fits, without `border`
    pixels at each edge.
    """
    _, everywhere = structural_similarity_index_measure(
        _inside(luma_a, border), _inside(luma_b, border), sigma=1.5, data_range=255.0, return_full_image=True
    )
    return float(_inside(everywhere, _HALF_WINDOW).mean())


def _inside(pictures: Tensor, border: int) -> Tensor:
    height, width = pictures.shape[-2:]
    return pictures[..., border : height - border, border : width - border]
