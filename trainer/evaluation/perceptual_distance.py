"""How different two pictures look: LPIPS, and the paper's own distance of features.

Distances are of a picture, float RGB, `(1, 3, H, W)`, from the truth, the same in [0, 1]; 0 for equal ones.
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

_SMALLEST_SIDE = 31  # of a picture that AlexNet's layers leave something of


def load_lpips(device: torch.device) -> PerceptualDistance:
    """LPIPS (Zhang et al. 2018) on AlexNet; the first time this downloads torchvision's weights (233 MB).

    Returns:
        The distance; NaN where a side is shorter than 31 pixels.

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


def load_feature_distance(source: str, device: torch.device) -> PerceptualDistance:
    """Feature reconstruction at relu2_2 (equation 2 of the paper), divided by the mean square of the truth's features.

    Args:
        source: of the loss network, see `load_loss_network`.
        device: where to compute.

    Returns:
        The distance of the picture rounded to 8 bits, as it would be when saved.

    Raises:
        BadLossNetwork: there is no such network, or its weights cannot be had.
    """
    network = load_loss_network([source], ["relu2_2"]).to(device)

    def distance(picture: Tensor, truth: Tensor) -> float:
        rounded = picture.float().mul(255).round().clamp(0, 255).div(255)
        with torch.inference_mode():
            (features,), (target,) = (network(each).values() for each in (rounded, truth.float()))
            return float(relative_feature_reconstruction(features, target))

    return distance
