"""LPIPS (Zhang et al. 2018), how different people would find two pictures, where its weights can be had."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

from trainer.errors import BadLossNetwork

_SMALLEST_SIDE = 31  # of a picture that AlexNet's layers leave something of


def load(device: torch.device) -> Callable[[Tensor, Tensor], float]:
    """LPIPS on AlexNet; the first time this downloads torchvision's weights (233 MB).

    Returns:
        The distance of two pictures, float RGB in [0, 1], `(1, 3, H, W)`; 0 for equal ones, NaN where a side is
        shorter than 31 pixels.

    Raises:
        BadLossNetwork: the weights cannot be had.
    """
    try:
        metric = LearnedPerceptualImagePatchSimilarity("alex", normalize=True).to(device)
    except (OSError, RuntimeError) as error:
        raise BadLossNetwork(f"the weights for LPIPS cannot be had: {error}") from error

    def distance(picture: Tensor, truth: Tensor) -> float:
        if min(truth.shape[-2:]) < _SMALLEST_SIDE:
            return math.nan
        with torch.inference_mode():
            return float(metric(picture.float().clamp(0, 1), truth.float().clamp(0, 1)))

    return distance
