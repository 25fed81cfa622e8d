"""What a layer of a loss network keeps of a picture: another picture that agrees with it there.

The paper's figures 3 (content) and 4 (style), after Mahendran and Vedaldi 2015 and Gatys et al. 2015. The errors are
relative, so one weight of the total variation suits all layers.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from trainer.objectives.loss_networks import LossNetwork, Tap
from trainer.objectives.losses import (
    gram_matrix,
    mean_squared_variation,
    relative_feature_reconstruction,
    relative_style_reconstruction,
)

Objective = Callable[[Tensor], Tensor]


def content_error(network: LossNetwork, picture: Tensor, tap: Tap) -> Objective:
    """How far pictures' features at a tap are from a picture's (equation 2), divided by the size of those.

    Args:
        network: a loss network that has the tap.
        picture: float RGB in [0, 1], `(1, 3, H, W)`, on the network's device; others must have its size.
        tap: where to compare.
    """
    with torch.no_grad():
        target = network(picture, [tap])[tap]
    return lambda other: relative_feature_reconstruction(network(other, [tap])[tap], target)


def style_error(network: LossNetwork, picture: Tensor, taps: Mapping[Tap, float]) -> Objective:
    """How far pictures' Gram matrices are from a picture's (equation 4), divided by the size of those.

    Args:
        network: a loss network that has the taps.
        picture: float RGB in [0, 1], `(1, 3, H, W)`, on the network's device; others may have another size.
        taps: where to compare, with their weights in the mean.
    """
    with torch.no_grad():
        targets = {tap: gram_matrix(features) for tap, features in network(picture, taps).items()}
    total = sum(taps.values())

    def error(other: Tensor) -> Tensor:
        features = network(other, taps)
        errors = [
            weight / total * relative_style_reconstruction(gram_matrix(features[tap]), targets[tap])
            for tap, weight in taps.items()
        ]
        return torch.stack(errors).sum()

    return error


def smoothed(error: Objective, variation_weight: float) -> Objective:
    """An error plus the total variation, divided by the number of neighbours, times a weight (section 3.2)."""
    return lambda picture: error(picture) + variation_weight * mean_squared_variation(picture)
