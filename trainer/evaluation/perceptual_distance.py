"""Measures of how different two pictures look: LPIPS, and the paper's own distance of features.

A distance takes a picture and the truth, both float RGB, `(1, 3, H, W)`, the truth in [0, 1]; it is 0 if they are
equal.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

from trainer.errors import BadLossNetwork
from trainer.objectives.loss_networks import load_loss_network
from trainer.objectives.losses import relative_feature_reconstruction

PerceptualDistance = Callable[[Tensor, Tensor], float]

_SMALLEST_SIDE = 31
"""Smallest side of a picture, in pixels, that has a position at the last layer of AlexNet."""


def load_lpips(device: torch.device) -> PerceptualDistance:
    """Load LPIPS (Zhang et al. 2018) on AlexNet, whose weights (233 MB) torchvision downloads the first time.

    Returns:
        The distance, which is NaN where a side is shorter than 31 pixels.

    Raises:
        BadLossNetwork: The weights cannot be loaded.
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


def load_feature_distance(source: str, device: torch.device) -> PerceptualDistance:
    """Load the relative feature reconstruction at relu2_2 (equation 2 of the paper) as a distance.

    Args:
        source: Source of the loss network, as for `load_loss_network`.
        device: Device to compute on.

    Returns:
        The distance, for which the picture is rounded to 8 bits, as it would be when saved.

    Raises:
        BadLossNetwork: There is no such network, or its weights cannot be loaded.
    """
    network = load_loss_network([source], ["relu2_2"]).to(device)

    def distance(picture: Tensor, truth: Tensor) -> float:
        rounded = picture.float().mul(255).round().clamp(0, 255).div(255)
        with torch.inference_mode():
            (features,), (target,) = (network(each).values() for each in (rounded, truth.float()))
            return float(relative_feature_reconstruction(features, target))

    return distance
