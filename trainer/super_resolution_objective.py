"""What a super-resolution net is trained for (section 4.2 of the paper)."""

from collections.abc import Mapping

import torch
from torch import Tensor

from model_store.nets import SMALLEST_SIDE, TransformNet
from trainer import losses
from trainer.batches import Batch, Views
from trainer.degradation import LARGEST_SIGMA, PAPER_SIGMA, degrade
from trainer.errors import BadRecipe
from trainer.loss_networks import LossNetwork, weigh_taps
from trainer.recipes import SuperResolutionRecipe
from trainer.squares import Squares


class SuperResolutionObjective:
    """Pixel loss and feature reconstruction between patches and the enlargements of their degraded copies.

    Args:
        recipe: degradation, losses and their weights; a term of weight 0 is left out.
        loss_network: on the device of the batches; needed only for feature reconstruction.

    Raises:
        BadRecipe: features have a weight, and there is no loss network.
    """

    def __init__(self, recipe: SuperResolutionRecipe, loss_network: LossNetwork | None = None) -> None:
        if recipe.feature_weight and loss_network is None:
            raise BadRecipe("feature reconstruction has a weight, and there is no loss network to see features with")
        self._recipe = recipe
        self._loss_network = loss_network
        self._taps = weigh_taps(recipe.feature_taps, recipe.loss_networks)
        weights = {"pixel": recipe.pixel_weight, "feature": recipe.feature_weight}
        self.weights: Mapping[str, float] = {name: weight for name, weight in weights.items() if weight}

    def terms(self, net: TransformNet, batch: Batch) -> dict[str, Tensor]:
        """The terms named in `weights`, scalars."""
        truth = batch.pictures
        with torch.autocast(truth.device.type, enabled=False):
            small = degrade(truth, self._recipe.factor, self._sigma(batch))
        enlarged = net(small)
        terms = {}
        if "pixel" in self.weights:
            pixel = losses.pixel if self._recipe.pixel_loss == "squared" else losses.absolute_pixel
            terms["pixel"] = pixel(enlarged, truth)
        if "feature" in self.weights and self._loss_network is not None:
            terms["feature"] = self._feature(self._loss_network, enlarged, truth)
        return terms

    def _feature(self, loss_network: LossNetwork, enlarged: Tensor, truth: Tensor) -> Tensor:
        is_relative = self._recipe.losses == "relative"
        loss = losses.relative_feature_reconstruction if is_relative else losses.feature_reconstruction
        with torch.no_grad():
            targets = loss_network(truth, self._taps)
        features = loss_network(enlarged, self._taps)
        terms = torch.stack([weight * loss(features[tap], targets[tap]) for tap, weight in self._taps.items()])
        return terms.mean() if is_relative else terms.sum()

    def _sigma(self, batch: Batch) -> float | Tensor:
        match self._recipe.degradation:
            case "bicubic":
                return 0.0
            case "blur":
                return PAPER_SIGMA
            case "drawn":
                return LARGEST_SIGMA * batch.chance


def patches(recipe: SuperResolutionRecipe, tiles: Squares) -> Views:
    """The patches of tiles that a run sees.

    Raises:
        BadRecipe: the factor does not divide the patch, or the patch is too small for the net or larger than the tiles.
    """
    smallest, largest = SMALLEST_SIDE * recipe.factor, tiles.size
    if recipe.patch % recipe.factor or not smallest <= recipe.patch <= largest:
        raise BadRecipe(
            f"the patch is {recipe.patch}: make it a multiple of the factor ({recipe.factor}) from {smallest} to "
            f"{largest}, the side of the tiles"
        )
    ways = range(8) if recipe.augmentation == "dihedral" else (0,)
    return Views(len(tiles), tiles.size, recipe.batch, recipe.seed, recipe.patch, recipe.patch, ways)
