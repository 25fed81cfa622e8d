"""The objectives of a light net: that its pictures are those of the full net, and at the end the full net's own."""

from collections.abc import Mapping

import torch
from torch import Tensor

from model_store.nets import TransformNet
from trainer.data.batches import Batch
from trainer.distillation.recipe import LightRecipe
from trainer.objectives import losses
from trainer.objectives.loss_networks import LossNetwork, weigh_taps
from trainer.objectives.style_objective import StyleLosses

_CELL = 4
"""Side in pixels of the cells that a light net's pixel shuffles make."""


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
        self.weights: Mapping[str, float] = {
            "pixel": recipe.pixel_weight,
            "edge": recipe.edge_weight,
            "grid": recipe.grid_weight,
        }
        if loss_network is not None:
            self.weights = {**self.weights, "feature": recipe.feature_weight}
            self._taps = weigh_taps(recipe.feature_taps, recipe.loss_networks)

    def terms(self, net: TransformNet, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of the objective, scalars, by the names in `weights`."""
        photos, paintings = torch.split(batch.pictures, 3, 1)
        return self.differences(net(photos), paintings, batch.chance)

    def differences(self, made: Tensor, paintings: Tensor, chance: Tensor) -> dict[str, Tensor]:
        """Return the terms for pictures that the light net has made.

        Args:
            made: Float RGB, `(N, 3, S, S)`.
            paintings: Paintings of the full net, of the same shape.
            chance: Random number in [0, 1) for each picture, `(N,)`, for the place of its window.
        """
        terms = {
            "pixel": losses.absolute_pixel(made, paintings),
            "edge": losses.absolute_steps(made, paintings),
            "grid": losses.grid_pattern(made, paintings, _CELL),
        }
        if self._loss_network is not None:
            found, wanted = (_windows(each, chance, self._window) for each in (made, paintings))
            features = self._loss_network(found, self._taps)
            with torch.no_grad():
                targets = self._loss_network(wanted, self._taps)
            errors = [
                weight * losses.relative_feature_reconstruction(features[tap], targets[tap])
                for tap, weight in self._taps.items()
            ]
            terms["feature"] = torch.stack(errors).mean()
        return terms


class EndObjective:
    """The objective of the full net, with the differences from its paintings, which are small beside it.

    Args:
        style_losses: Losses of the style.
        distillation: Differences from the paintings.
    """

    def __init__(self, style_losses: StyleLosses, distillation: DistillationObjective) -> None:
        self.weights: Mapping[str, float] = {**style_losses.weights, **distillation.weights}
        self._style_losses, self._distillation = style_losses, distillation

    def terms(self, net: TransformNet, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of both, scalars, by the names in `weights`."""
        photos, paintings = torch.split(batch.pictures, 3, 1)
        made = net(photos)
        own = self._style_losses.terms(made, self._style_losses.content(photos))
        return {**own, **self._distillation.differences(made, paintings, batch.chance)}


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
