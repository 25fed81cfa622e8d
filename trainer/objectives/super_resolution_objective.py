"""The objective that a super-resolution net is trained for (section 4.2 of the paper), and losses against its dots."""

from collections.abc import Mapping

import torch
from torch import Tensor

from model_store.card import SMALLEST_SIDE
from model_store.nets import TransformNet
from trainer.data.batches import Batch, Views
from trainer.data.degradation import LARGEST_SIGMA, PAPER_SIGMA, degrade
from trainer.data.squares import Squares
from trainer.errors import BadRecipe
from trainer.objectives import losses
from trainer.objectives.loss_networks import LossNetwork, Tap, weigh_taps
from trainer.recipes import SuperResolutionRecipe


class SuperResolutionObjective:
    """The losses between patches and the enlargements of their degraded copies: pixel, feature, texture and grid.

    A net that is trained on features alone leaves a pattern of dots, which matches them on average; the losses of
    texture and grid see the dots.

    Args:
        recipe: Recipe whose degradation, losses and weights are used; a term of weight 0 is left out.
        loss_network: Loss network on the device of the batches, which only the terms of features and texture need.

    Raises:
        BadRecipe: Features or texture have a weight, and there is no loss network.
    """

    def __init__(self, recipe: SuperResolutionRecipe, loss_network: LossNetwork | None = None) -> None:
        if recipe.sees_features and loss_network is None:
            raise BadRecipe("features or texture have a weight, and there is no loss network to see them with")
        self._recipe = recipe
        self._loss_network = loss_network
        self._taps = weigh_taps(recipe.feature_taps, recipe.loss_networks)
        weights = {
            "pixel": recipe.pixel_weight,
            "feature": recipe.feature_weight,
            "texture": recipe.texture_weight,
            "grid": recipe.grid_weight,
        }
        self.weights: Mapping[str, float] = {name: weight for name, weight in weights.items() if weight}

    def terms(self, net: TransformNet, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of the objective for a batch of patches, scalars, by the names in `weights`."""
        truth = batch.pictures
        with torch.autocast(truth.device.type, enabled=False):
            small = degrade(truth, self._recipe.factor, self._sigma(batch))
        enlarged = net(small)
        terms = {}
        if "pixel" in self.weights:
            pixel = losses.pixel if self._recipe.pixel_loss == "squared" else losses.absolute_pixel
            terms["pixel"] = pixel(enlarged, truth)
        if "grid" in self.weights:
            terms["grid"] = losses.grid_pattern(enlarged, truth, self._recipe.factor)
        if self._recipe.sees_features and self._loss_network is not None:
            with torch.no_grad():
                targets = self._loss_network(truth, self._taps)
            features = self._loss_network(enlarged, self._taps)
            if "feature" in self.weights:
                terms["feature"] = self._feature(features, targets)
            if "texture" in self.weights:
                terms["texture"] = self._texture(features, targets)
        return terms

    def _feature(self, features: Mapping[Tap, Tensor], targets: Mapping[Tap, Tensor]) -> Tensor:
        is_relative = self._recipe.losses == "relative"
        loss = losses.relative_feature_reconstruction if is_relative else losses.feature_reconstruction
        terms = torch.stack([weight * loss(features[tap], targets[tap]) for tap, weight in self._taps.items()])
        return terms.mean() if is_relative else terms.sum()

    def _texture(self, features: Mapping[Tap, Tensor], targets: Mapping[Tap, Tensor]) -> Tensor:
        """Return the texture loss, averaged over taps."""
        terms = []
        for tap, weight in self._taps.items():
            side = max(1, self._recipe.texture_window * targets[tap].shape[-1] // self._recipe.patch)
            terms.append(weight * losses.local_texture(features[tap], targets[tap], side))
        return torch.stack(terms).mean()

    def _sigma(self, batch: Batch) -> float | Tensor:
        match self._recipe.degradation:
            case "bicubic":
                return 0.0
            case "blur":
                return PAPER_SIGMA
            case "drawn":
                return LARGEST_SIGMA * batch.chance


def patches(recipe: SuperResolutionRecipe, tiles: Squares) -> Views:
    """Return the views of tiles that a run sees: random patches, turned and mirrored if the recipe says so.

    Raises:
        BadRecipe: The factor does not divide the patch, or the patch is too small for the net or larger than the tiles.
    """
    smallest, largest = SMALLEST_SIDE * recipe.factor, tiles.size
    if recipe.patch % recipe.factor or not smallest <= recipe.patch <= largest:
        raise BadRecipe(
            f"the patch is {recipe.patch}: make it a multiple of the factor ({recipe.factor}) from {smallest} to "
            f"{largest}, the side of the tiles"
        )
    ways = range(8) if recipe.augmentation == "dihedral" else (0,)
    return Views(len(tiles), tiles.size, recipe.batch, recipe.seed, recipe.patch, recipe.patch, ways)
