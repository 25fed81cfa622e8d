"""The errors by which a picture is reconstructed from one layer of a loss network, to show what the layer keeps.

They make figures 3 (content) and 4 (style) of the paper, after Mahendran and Vedaldi 2015 and Gatys et al. 2015. The
errors are relative, so that one weight of the total variation suits all layers.
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
"""A differentiable function of a picture, `(1, 3, H, W)`, that returns a scalar to minimise."""


def content_error(network: LossNetwork, picture: Tensor, tap: Tap) -> Objective:
    """Return the relative error of another picture's features at a tap from those of a picture (equation 2).

    Args:
        network: Loss network that has the tap.
        picture: Float RGB in [0, 1], `(1, 3, H, W)`, on the network's device; the other picture must have its size.
        tap: Tap at which features are compared.
    """
    with torch.no_grad():
        target = network(picture, [tap])[tap]
    return lambda other: relative_feature_reconstruction(network(other, [tap])[tap], target)


def style_error(network: LossNetwork, picture: Tensor, taps: Mapping[Tap, float]) -> Objective:
    """Return the relative error of another picture's Gram matrices from those of a picture (equation 4).

    Args:
        network: Loss network that has the taps.
        picture: Float RGB in [0, 1], `(1, 3, H, W)`, on the network's device; the other may have another size.
        taps: Taps at which Gram matrices are compared, with their weights in the mean.
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
    """Return an error plus a weight times the total variation divided by the number of neighbours (section 3.2)."""
    return lambda picture: error(picture) + variation_weight * mean_squared_variation(picture)
