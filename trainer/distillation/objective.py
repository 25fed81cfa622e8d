"""The objective of a light net: that its pictures are those of the full net."""

from collections.abc import Mapping

import torch
from torch import Tensor

from model_store.nets import TransformNet
from trainer.data.batches import Batch
from trainer.distillation.recipe import LightRecipe
from trainer.objectives import losses
from trainer.objectives.loss_networks import LossNetwork, weigh_taps


class DistillationObjective:
    """The differences between the paintings of a light net and those of a full net, of the same photos.

    Batches have six channels: a photo and the full net's painting of it. Features are compared in one window of each
    picture, at a random place, because the loss network is more work than the light net.

    Args:
        recipe: Recipe whose taps and weights are used.
        loss_network: Loss network that has at least the recipe's taps; None to compare pixels alone.
    """

    def __init__(self, recipe: LightRecipe, loss_network: LossNetwork | None = None) -> None:
        self._loss_network, self._window = loss_network, min(recipe.feature_window, recipe.size)
        self.weights: Mapping[str, float] = {"pixel": recipe.pixel_weight, "edge": recipe.edge_weight}
        if loss_network is not None:
            self.weights = {**self.weights, "feature": recipe.feature_weight}
            self._taps = weigh_taps(recipe.feature_taps, recipe.loss_networks)

    def terms(self, net: TransformNet, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of the objective, scalars, by the names in `weights`."""
        photos, paintings = torch.split(batch.pictures, 3, 1)
        made = net(photos)
        terms = {
            "pixel": losses.absolute_pixel(made, paintings),
            "edge": losses.absolute_steps(made, paintings),
        }
        if self._loss_network is not None:
            found, wanted = (_windows(each, batch.chance, self._window) for each in (made, paintings))
            features = self._loss_network(found, self._taps)
            with torch.no_grad():
                targets = self._loss_network(wanted, self._taps)
            errors = [
                weight * losses.relative_feature_reconstruction(features[tap], targets[tap])
                for tap, weight in self._taps.items()
            ]
            terms["feature"] = torch.stack(errors).mean()
        return terms


def _windows(pictures: Tensor, chance: Tensor, side: int) -> Tensor:
    """Return a square of each picture, `(N, C, side, side)`, at the place that a random number in [0, 1) stands for."""
    height, width = pictures.shape[-2:]
    down, across = chance, (chance * 4096).frac()
    rows, columns = (
        ((each * (length - side + 1)).long()[:, None] + torch.arange(side, device=pictures.device))
        for each, length in ((down, height), (across, width))
    )
    numbers = torch.arange(len(pictures), device=pictures.device)
    return pictures[numbers[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
