"""Training a style net (sections 3.2 and 4.1 of the paper)."""

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field, JsonValue
from torch import Tensor

from model_store.nets import TransformNet
from trainer import losses
from trainer.loss_networks import LossNetwork, parse_taps
from trainer.training import Recipe, Schedule, mixed_precision

_DEFAULT_SCHEDULE = Schedule(steps=5600, batch=4, learning_rate=1e-3)


class StyleRecipe(Recipe):
    """How a style net is trained; the defaults are what looked best."""

    architecture: Literal["style-net", "johnson2016"] = "style-net"
    width: int = Field(default=32, ge=4)
    size: int = Field(default=256, ge=32, description="Side of the photos, in pixels.")
    style_size: int = Field(default=256, ge=32, description="Shorter side of the style picture, in pixels.")
    loss_networks: tuple[str, ...] = ("vgg19",)
    content_taps: tuple[str, ...] = ("relu2_1", "relu3_1")
    style_taps: tuple[str, ...] = (
        "relu1_1", "relu2_1", "relu3_1", "relu2_1/2", "relu3_1/2", "relu2_1/4", "relu3_1/4",
    )  # fmt: skip
    losses: Literal["relative", "absolute"] = "relative"
    content_weight: float = Field(default=2.0, ge=0)
    style_weight: float = Field(default=28.0, ge=0)
    variation_weight: float = Field(default=2.0, ge=0)
    schedule: Schedule = _DEFAULT_SCHEDULE

    @property
    def parameters(self) -> dict[str, JsonValue]:
        """What the architecture is built with."""
        return {"width": self.width}


class StyleObjective:
    """Feature and style reconstruction and total variation (equation 5).

    With relative losses, terms are means over taps; with absolute ones, sums over taps, as published.

    Args:
        recipe: taps and weights.
        loss_network: the recipe's, on `device`.
        style_picture: float RGB in [0, 1], `(1, 3, H, W)`.
        photos: uint8 RGB, `(N, 3, S, S)`, on `device`.
        device: where to compute.
    """

    def __init__(
        self,
        recipe: StyleRecipe,
        loss_network: LossNetwork,
        style_picture: Tensor,
        photos: Tensor,
        device: torch.device,
    ) -> None:
        self._content_taps = parse_taps(recipe.content_taps, recipe.loss_networks)
        self._is_relative = recipe.losses == "relative"
        self._batch = recipe.schedule.batch
        self._loss_network = loss_network
        self._photos = photos
        self._device = device
        self.weights: Mapping[str, float] = {
            "content": recipe.content_weight,
            "style": recipe.style_weight,
            "variation": recipe.variation_weight,
        }
        with torch.no_grad():
            features = loss_network(style_picture.to(device))
            style_taps = parse_taps(recipe.style_taps, recipe.loss_networks)
            self._style_grams = {tap: losses.gram_matrix(features[tap]) for tap in style_taps}

    def terms(self, net: TransformNet, generator: torch.Generator) -> dict[str, Tensor]:
        """The losses on a batch of random photos, half of them mirrored."""
        photos = self._draw(generator)
        with mixed_precision(self._device):
            with torch.no_grad():
                targets = self._loss_network(photos)
            pictures = net(photos)
            features = self._loss_network(pictures)
        content_loss, style_loss, variation = (
            (
                losses.relative_feature_reconstruction,
                losses.relative_style_reconstruction,
                losses.mean_squared_variation,
            )
            if self._is_relative
            else (losses.feature_reconstruction, losses.style_reconstruction, losses.total_variation)
        )
        content = torch.stack([content_loss(features[tap], targets[tap]) for tap in self._content_taps])
        style = torch.stack(
            [style_loss(losses.gram_matrix(features[tap]), gram) for tap, gram in self._style_grams.items()]
        )
        reduce = torch.mean if self._is_relative else torch.sum
        return {"content": reduce(content), "style": reduce(style), "variation": variation(pictures)}

    def _draw(self, generator: torch.Generator) -> Tensor:
        chosen = torch.randint(len(self._photos), (self._batch,), generator=generator)
        mirrored = torch.rand(self._batch, generator=generator) < 0.5
        drawn = zip(chosen.tolist(), mirrored.tolist(), strict=True)
        photos = [self._photos[number].flip(-1) if flip else self._photos[number] for number, flip in drawn]
        return torch.stack(photos) / 255
