"""PSNR and SSIM as the super-resolution literature reports them: on luma, without the border."""

import torch
import torch.nn.functional as F
from torch import Tensor

_SSIM_WINDOW, _SSIM_SIGMA = 11, 1.5
_HIGHEST_PSNR = 100.0
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def luma(pictures: Tensor) -> Tensor:
    """Y of YCbCr (ITU-R BT.601, 16..235) of RGB in [0, 1], `(N, 3, H, W)` to `(N, 1, H, W)`, float64.

    The picture is rounded to 8 bits first, as it would be when saved.
    """
    rounded = pictures.double().mul(255).round().clamp(0, 255).div(255)
    weights = torch.tensor([65.481, 128.553, 24.966], dtype=torch.float64, device=pictures.device)
    return 16 + (rounded * weights.view(3, 1, 1)).sum(1, keepdim=True)


def psnr(luma_a: Tensor, luma_b: Tensor, border: int) -> float:
    """Peak signal-to-noise ratio in dB (peak 255) without `border` pixels at each edge; at most 100, for equal ones."""
    error = (_inside(luma_a, border) - _inside(luma_b, border)).square().mean()
    return min(float(10 * torch.log10(255**2 / error)), _HIGHEST_PSNR)


def ssim(luma_a: Tensor, luma_b: Tensor, border: int) -> float:
    """Structural similarity (Wang et al. 2004), 1 for equal pictures.

    Gaussian window 11×11, σ 1.5, only where the window fits, without `border` pixels at each edge.
    """
    a, b = _inside(luma_a, border), _inside(luma_b, border)
    offsets = torch.arange(_SSIM_WINDOW, dtype=a.dtype, device=a.device) - _SSIM_WINDOW // 2
    profile = torch.exp(-offsets.square() / (2 * _SSIM_SIGMA**2))
    profile = profile / profile.sum()

    def blur(pictures: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(pictures, profile.view(1, 1, -1, 1)), profile.view(1, 1, 1, -1))

    mean_a, mean_b = blur(a), blur(b)
    variance_a = blur(a * a) - mean_a**2
    variance_b = blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    structure = (2 * covariance + _C2) / (variance_a + variance_b + _C2)
    luminance = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    return float((luminance * structure).mean())


def _inside(pictures: Tensor, border: int) -> Tensor:
    height, width = pictures.shape[-2:]
    return pictures[..., border : height - border, border : width - border]
