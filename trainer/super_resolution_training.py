"""Training a super-resolution net with the pixel loss (section 4.2 of the paper)."""

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field, JsonValue
from torch import Tensor

from model_store.nets import SMALLEST_SIDE, TransformNet
from trainer import losses
from trainer.degradation import degrade
from trainer.errors import BadRecipe
from trainer.training import Recipe, Schedule, mixed_precision

_DEFAULT_SCHEDULE = Schedule(steps=6000, batch=32, learning_rate=5e-4, warm_up=0.02)


class SuperResolutionRecipe(Recipe):
    """How a super-resolution net is trained."""

    architecture: Literal["super-resolution-net", "johnson2016-super-resolution"] = "super-resolution-net"
    factor: int = Field(default=4, description="2, 4 or 8; the paper's net 4 or 8.")
    channels: int = Field(default=64, ge=4)
    residual_blocks: int = Field(default=16, ge=1)
    tile: int = Field(default=320, ge=32, description="Side of the squares that photos are cut into, in pixels.")
    patch: int = Field(default=192, ge=32, description="Side of the large patches trained on, in pixels.")
    degradation: Literal["bicubic"] = "bicubic"
    loss: Literal["absolute pixel", "pixel"] = "absolute pixel"
    schedule: Schedule = _DEFAULT_SCHEDULE

    @property
    def parameters(self) -> dict[str, JsonValue]:
        """What the architecture is built with."""
        if self.architecture == "johnson2016-super-resolution":
            return {"factor": self.factor}
        return {"factor": self.factor, "channels": self.channels, "residual_blocks": self.residual_blocks}


class SuperResolutionObjective:
    """The pixel loss between a patch and the enlargement of its degraded copy.

    Args:
        recipe: patch, factor and loss.
        tiles: large pictures, uint8 RGB, `(N, 3, S, S)`, S at least the patch, on `device`.
        device: where to compute.

    Raises:
        BadRecipe: the factor does not divide the patch, or the patch is too small for the net or larger than the tiles.
    """

    def __init__(self, recipe: SuperResolutionRecipe, tiles: Tensor, device: torch.device) -> None:
        smallest, largest = SMALLEST_SIDE * recipe.factor, tiles.shape[-1]
        if recipe.patch % recipe.factor or not smallest <= recipe.patch <= largest:
            raise BadRecipe(
                f"the patch is {recipe.patch}: make it a multiple of the factor ({recipe.factor}) from {smallest} to "
                f"{largest}, the side of the tiles"
            )
        self._recipe = recipe
        self._tiles = tiles
        self._device = device
        self._loss = losses.pixel if recipe.loss == "pixel" else losses.absolute_pixel
        self.weights: Mapping[str, float] = {"pixel": 1.0}

    def terms(self, net: TransformNet, generator: torch.Generator) -> dict[str, Tensor]:
        """The loss on a batch of random patches, each turned and mirrored in one of eight ways."""
        patches = self._draw(generator)
        small = degrade(patches, self._recipe.factor)
        with mixed_precision(self._device):
            enlarged = net(small)
        return {"pixel": self._loss(enlarged, patches)}

    def _draw(self, generator: torch.Generator) -> Tensor:
        size, batch = self._recipe.patch, self._recipe.schedule.batch
        chosen = torch.randint(len(self._tiles), (batch,), generator=generator).tolist()
        corners = torch.randint(self._tiles.shape[-1] - size + 1, (batch, 2), generator=generator).tolist()
        ways = torch.randint(8, (batch,), generator=generator).tolist()
        patches = []
        for tile, (top, left), way in zip(chosen, corners, ways, strict=True):
            patch = self._tiles[tile, :, top : top + size, left : left + size].rot90(way % 4, (1, 2))
            patches.append(patch.flip(2) if way >= 4 else patch)
        return torch.stack(patches) / 255
