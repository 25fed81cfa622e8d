"""The objective of a style net, and of a picture that Gatys' method optimises (equation 5 of the paper)."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from model_store.nets import TransformNet
from trainer.data.batches import Batch, Views
from trainer.data.squares import Squares
from trainer.objectives import losses
from trainer.objectives.loss_networks import LossNetwork, Tap, weigh_taps
from trainer.recipes import StyleRecipe

_SMALLEST_PART = 0.6
"""Smallest side of a random part of a photo, as a share of the photo's side."""
_MIRRORED = 4
"""The way of a view that is mirrored and not turned; see `View.way`."""


class Content(NamedTuple):
    """The features of content photos that pictures are to keep."""

    photos: Tensor
    """The photos, float RGB in [0, 1], `(N, 3, H, W)`."""
    features: Mapping[Tap, Tensor]
    """Their features at the content taps."""


class StyleLosses:
    """The feature reconstruction, style reconstruction and total variation of pictures in one style.

    Relative losses are means over taps; absolute ones are sums over taps, as published. If the recipe weighs it, light
    and dark are a fourth loss.

    Args:
        recipe: Recipe whose taps, kind of losses and weights are used.
        loss_network: Loss network that has at least the recipe's taps; pictures must be on its device.
        style_picture: Float RGB in [0, 1], `(1, 3, H, W)`.
    """

    def __init__(self, recipe: StyleRecipe, loss_network: LossNetwork, style_picture: Tensor) -> None:
        self._content_taps = weigh_taps(recipe.content_taps, recipe.loss_networks)
        self._style_taps = weigh_taps(recipe.style_taps, recipe.loss_networks)
        self._is_relative = recipe.losses == "relative"
        self._loss_network = loss_network
        self.weights: Mapping[str, float] = {
            "content": recipe.content_weight,
            "style": recipe.style_weight,
            "variation": recipe.variation_weight,
        }
        if recipe.luma_weight:
            self.weights = {**self.weights, "luma": recipe.luma_weight}
        with torch.no_grad():
            features = loss_network(style_picture.to(loss_network.device), self._style_taps)
        self._style_grams = {tap: losses.gram_matrix(features[tap]) for tap in self._style_taps}

    @torch.no_grad()
    def content(self, photos: Tensor) -> Content:
        """Return what pictures are to keep of content photos, float RGB in [0, 1], `(N, 3, H, W)`."""
        return Content(photos, self._loss_network(photos, self._content_taps))

    def terms(self, pictures: Tensor, content: Content) -> dict[str, Tensor]:
        """Return the terms of the objective, scalars, by the names in `weights`.

        Args:
            pictures: Float RGB in [0, 1], `(N, 3, H, W)`.
            content: What the pictures are to keep of the photos that they were made from, as `content` returns it.
        """
        features = self._loss_network(pictures)
        feature_loss, style_loss, variation_loss = (
            (
                losses.relative_feature_reconstruction,
                losses.relative_style_reconstruction,
                losses.mean_squared_variation,
            )
            if self._is_relative
            else (losses.feature_reconstruction, losses.style_reconstruction, losses.total_variation)
        )
        reduce = torch.mean if self._is_relative else torch.sum
        content_terms = [
            weight * feature_loss(features[tap], content.features[tap]) for tap, weight in self._content_taps.items()
        ]
        style_terms = [
            weight * style_loss(losses.gram_matrix(features[tap]), self._style_grams[tap])
            for tap, weight in self._style_taps.items()
        ]
        terms = {
            "content": reduce(torch.stack(content_terms)),
            "style": reduce(torch.stack(style_terms)),
            "variation": variation_loss(pictures),
        }
        if "luma" in self.weights:
            terms["luma"] = losses.light_and_dark(pictures, content.photos)
        return terms


class StyleObjective:
    """The objective of a style net: the losses of the pictures that it makes from a batch of photos.

    Args:
        style_losses: Losses of the style.
    """

    def __init__(self, style_losses: StyleLosses) -> None:
        self.weights = style_losses.weights
        self._losses = style_losses

    def terms(self, net: TransformNet, batch: Batch) -> dict[str, Tensor]:
        """Return the terms that `StyleLosses.terms` computes for the net's pictures of a batch of photos."""
        return self._losses.terms(net(batch.pictures), self._losses.content(batch.pictures))


def parts(recipe: StyleRecipe, photos: Squares) -> Views:
    """Return the views of photos that a run sees: whole photos, or with the augmentation `crop` random parts of them.

    A part is a square whose side is at least 60 % of that of the photo.
    """
    smallest = round(_SMALLEST_PART * photos.size) if recipe.augmentation == "crop" else photos.size
    ways = (0,) if recipe.augmentation == "none" else (0, _MIRRORED)
    return Views(len(photos), photos.size, recipe.batch, recipe.seed, smallest, ways=ways)
