"""Recipes: the settings that a net is trained with, their defaults, and the settings that the paper published.

This module does not import torch, so that commands can show their options at once.
"""

import math
from collections.abc import Callable, Mapping
from typing import Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from trainer.errors import BadRecipe

RecipeType = TypeVar("RecipeType", bound="Recipe")

Precision = Literal["auto", "float32", "bfloat16"]


class Recipe(BaseModel):
    """The settings that all nets are trained with: Adam, its learning rate, and a moving average of the weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: str
    steps: int = Field(ge=1, description="Number of batches to train on.")
    batch: int = Field(ge=1, description="Number of pictures in a step, over all processes.")
    learning_rate: float = Field(gt=0, description="Learning rate of Adam at its peak.")
    schedule: Literal["one-cycle", "constant"] = Field(
        default="one-cycle",
        description="Course of the learning rate; one-cycle: a linear warm-up, then a cosine; constant: no change.",
    )
    warm_up: float = Field(
        default=0.03, ge=0, lt=1, description="Share of the steps in which the learning rate rises to its peak."
    )
    final_rate: float = Field(
        default=0.01, ge=0, le=1, description="Learning rate at the last step, as a share of its peak."
    )
    gradient_norm: float = Field(
        default=20.0, ge=0, description="Norm that gradients are clipped to; 0: gradients are not clipped."
    )
    ema: float = Field(
        default=0.999, ge=0, lt=1, description="Decay of the moving average of the weights; 0: no average is taken."
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="Seed of the first weights and of all random draws.")
    precision: Precision = Field(
        default="auto",
        description="Precision of the convolutions; auto: bfloat16 where the processor has it, else float32.",
    )

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        if self.schedule == "constant":
            return self.learning_rate
        warm_up_steps = self.warm_up * self.steps
        if step < warm_up_steps:
            return self.learning_rate * (step + 1) / (warm_up_steps + 1)
        progress = (step - warm_up_steps) / max(self.steps - warm_up_steps, 1)
        cosine = (1 + math.cos(math.pi * progress)) / 2
        return self.learning_rate * (self.final_rate + (1 - self.final_rate) * cosine)

    @property
    def parameters(self) -> dict[str, JsonValue]:
        """Return the parameters that the architecture is built with."""
        raise NotImplementedError


def changed(recipe: RecipeType, *changes: Mapping[str, object]) -> RecipeType:
    """Return a recipe in which some settings are changed and all are checked; later changes win.

    Raises:
        ValidationError: A setting is out of its range, or contradicts another.
    """
    merged: dict[str, object] = recipe.model_dump()
    for each in changes:
        merged.update(each)
    return recipe.model_validate(merged)


class StyleRecipe(Recipe):
    """The settings that a style net is trained with; the defaults are those that looked best."""

    architecture: Literal["style-net", "light-style-net", "johnson2016"] = Field(
        default="style-net", description="Architecture of the net; johnson2016 is that of the paper."
    )
    width: int = Field(default=32, ge=4, description="Channels of the net's first layer.")
    residual_blocks: int = Field(
        default=5, ge=1, description="Number of residual blocks of the net; johnson2016 always has 5."
    )
    steps: int = Field(default=5600, ge=1, description="Number of batches to train on.")
    batch: int = Field(default=4, ge=1, description="Number of photos in a step, over all processes.")
    learning_rate: float = Field(default=1e-3, gt=0, description="Learning rate of Adam at its peak.")
    size: int = Field(default=256, ge=32, description="Side of the photos, in pixels.")
    early_size: int | None = Field(
        default=None, ge=32, description="Side of the photos in the first steps, in pixels; as size if not given."
    )
    early_share: float = Field(
        default=0.3, ge=0, le=1, description="Share of the steps that are trained at the early size, if it is given."
    )
    late_size: int | None = Field(
        default=None, ge=32, description="Side of the photos in the last steps, in pixels; as size if not given."
    )
    late_share: float = Field(
        default=0.2, ge=0, le=1, description="Share of the steps that are trained at the late size, if it is given."
    )
    augmentation: Literal["flip", "crop", "none"] = Field(
        default="flip",
        description="Random changes of the photos; flip: mirror half of them; crop: also take a random part of each.",
    )
    style_size: int = Field(default=256, ge=32, description="Shorter side of the style picture, in pixels.")
    loss_networks: tuple[str, ...] = Field(
        default=("vgg19",),
        description="Loss network: vgg16, vgg19 or LAYOUT:FILE, as in vgg19-normalised:vgg19.safetensors; repeatable.",
    )
    content_taps: tuple[str, ...] = Field(
        default=("relu2_1", "relu3_1"),
        description="Layer of a loss network for feature reconstruction, as in relu2_1, relu2_1/2 (at half size), "
        "vgg16:relu2_2, relu2_1=0.5 (weighted); repeatable.",
    )
    style_taps: tuple[str, ...] = Field(
        default=("relu1_1", "relu2_1", "relu3_1", "relu2_1/2", "relu3_1/2", "relu2_1/4", "relu3_1/4"),
        description="Layer of a loss network for style reconstruction, written like a content tap; repeatable.",
    )
    losses: Literal["relative", "absolute"] = Field(
        default="relative",
        description="Scale of the losses; relative: divided by the target's size and averaged over taps; absolute: as "
        "published, summed over taps.",
    )
    content_weight: float = Field(default=2.0, ge=0, description="Weight of feature reconstruction.")
    style_weight: float = Field(default=28.0, ge=0, description="Weight of style reconstruction.")
    variation_weight: float = Field(default=2.0, ge=0, description="Weight of total variation.")
    luma_weight: float = Field(
        default=0.0, ge=0, description="Weight of the loss of light and dark: 1 - the correlation of luma."
    )

    @property
    def parameters(self) -> dict[str, JsonValue]:
        """Return the parameters that the architecture is built with."""
        if self.architecture == "johnson2016":
            return {"width": self.width}
        return {"width": self.width, "residual_blocks": self.residual_blocks}

    @property
    def sizes(self) -> dict[int, float]:
        """Return the sides of the photos, in pixels, each with its share of the steps, in the order of training."""
        early = self.early_share if self.early_size is not None else 0.0
        late = self.late_share if self.late_size is not None else 0.0
        parts = ((self.early_size, early), (self.size, 1 - early - late), (self.late_size, late))
        sizes: dict[int, float] = {}
        for size, share in parts:
            if size is not None and share > 0:
                sizes[size] = sizes.get(size, 0.0) + share
        return sizes

    @property
    def smallest_size(self) -> int:
        """Return the side of the smallest photos of the run, in pixels."""
        return min(self.sizes)

    @property
    def largest_size(self) -> int:
        """Return the side of the largest photos of the run, in pixels."""
        return max(self.sizes)

    def size_at(self, step: int) -> int:
        """Return the side of the photos of a step, in pixels; steps are counted from 0."""
        if self.early_size is not None and step < round(self.steps * self.early_share):
            return self.early_size
        if self.late_size is not None and step >= round(self.steps * (1 - self.late_share)):
            return self.late_size
        return self.size

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.early_size is not None and self.late_size is not None and self.early_share + self.late_share > 1:
            raise ValueError("early_share and late_share are more than 1 together: make one smaller")
        return self


class SuperResolutionRecipe(Recipe):
    """The settings that a super-resolution net is trained with; the defaults give the best PSNR."""

    architecture: Literal["super-resolution-net", "johnson2016-super-resolution", "srcnn"] = Field(
        default="super-resolution-net",
        description="Architecture of the net; johnson2016-super-resolution is that of the paper.",
    )
    factor: int = Field(default=4, description="Factor of enlargement: 2, 4 or 8; the net of the paper has 4 or 8.")
    channels: int = Field(default=64, ge=4, description="Channels of every layer of a super-resolution-net.")
    residual_blocks: int = Field(default=16, ge=1, description="Number of residual blocks of a super-resolution-net.")
    kernels: Literal["9-1-5", "9-5-5"] = Field(
        default="9-1-5", description="Sides of the kernels of an srcnn, from its first layer to its last."
    )
    steps: int = Field(default=6000, ge=1, description="Number of batches to train on.")
    batch: int = Field(default=32, ge=1, description="Number of patches in a step, over all processes.")
    learning_rate: float = Field(default=5e-4, gt=0, description="Learning rate of Adam at its peak.")
    warm_up: float = Field(
        default=0.02, ge=0, lt=1, description="Share of the steps in which the learning rate rises to its peak."
    )
    tile: int = Field(default=320, ge=32, description="Side of the squares that photos are cut into, in pixels.")
    patch: int = Field(
        default=192, ge=32, description="Side of the patches to train on, in pixels of the large picture."
    )
    augmentation: Literal["dihedral", "none"] = Field(
        default="dihedral",
        description="Random changes of the patches; dihedral: turn and mirror each in one of eight ways.",
    )
    degradation: Literal["bicubic", "blur", "drawn"] = Field(
        default="bicubic",
        description="Way to make the small picture; bicubic: bicubic shrinking; blur: after a Gaussian blur of σ 1.0, "
        "as in the paper; drawn: after a blur of a random σ from 0 to 2 for each patch.",
    )
    pixel_loss: Literal["absolute", "squared"] = Field(
        default="absolute", description="Difference that the pixel loss takes; the paper's is squared."
    )
    pixel_weight: float = Field(default=1.0, ge=0, description="Weight of the pixel loss.")
    feature_weight: float = Field(default=0.0, ge=0, description="Weight of feature reconstruction.")
    feature_taps: tuple[str, ...] = Field(
        default=("relu2_2",),
        description="Layer of a loss network whose features are compared, as in relu2_2, relu2_2/2 (at half size), "
        "relu1_2=0.5 (weighted); repeatable.",
    )
    texture_weight: float = Field(
        default=0.0, ge=0, description="Weight of the style reconstruction of the same features, window by window."
    )
    grid_weight: float = Field(
        default=0.0,
        ge=0,
        description="Weight of the loss against patterns that repeat with the pixels of the small picture.",
    )
    texture_window: int = Field(
        default=48, ge=8, description="Side of the windows of the texture loss, in pixels of the large picture."
    )
    losses: Literal["relative", "absolute"] = Field(
        default="relative",
        description="Scale of feature reconstruction; relative: divided by the target's size; absolute: as published.",
    )
    loss_networks: tuple[str, ...] = Field(
        default=("vgg16",),
        description="Loss network: vgg16, vgg19 or LAYOUT:FILE, as in vgg16-caffe:vgg16.safetensors; repeatable.",
    )

    def size_at(self, _step: int) -> int:
        """Return the side of the large patches, in pixels, which is the same at every step."""
        return self.patch

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.factor not in (2, 4, 8):
            raise ValueError("the factor must be 2, 4 or 8")
        if not self.pixel_weight and not self.grid_weight and not self.sees_features:
            raise ValueError("the weights of pixels, features, texture and grid are all 0: give one of them")
        if self.texture_weight and self.texture_window > self.patch:
            raise ValueError(f"texture_window is larger than the patch of {self.patch}: make it smaller")
        return self

    @property
    def sees_features(self) -> bool:
        """Return whether the losses need a loss network."""
        return bool(self.feature_weight or self.texture_weight)

    @property
    def parameters(self) -> dict[str, JsonValue]:
        """Return the parameters that the architecture is built with."""
        match self.architecture:
            case "johnson2016-super-resolution":
                return {"factor": self.factor}
            case "srcnn":
                return {"factor": self.factor, "kernels": self.kernels}
            case "super-resolution-net":
                return {"factor": self.factor, "channels": self.channels, "residual_blocks": self.residual_blocks}


_AS_PUBLISHED = {
    "batch": 4,
    "learning_rate": 1e-3,
    "schedule": "constant",
    "gradient_norm": 0.0,
    "ema": 0.0,
    "augmentation": "none",
    "precision": "float32",
    "losses": "absolute",
}

_TORCHVISION_SCALE = 57.6
"""Ratio of the input of the authors' network to that of torchvision's: 255 · 0.226, its mean standard deviation."""


def _as_published(loss_network: str, scale: float) -> StyleRecipe:
    """Return the published recipe for a loss network whose input is `scale` times smaller than that of the authors'.

    The authors' code averages the Gram differences over C² and has a style weight of 5 and a total variation weight of
    1e-6. Content falls with scale², style with scale⁴, and total variation with the 255² between [0, 1] and 0..255; of
    the latter, the authors sum half of it over the batch of 4, where the mean is taken here.
    """
    channels = {"relu1_2": 64, "relu2_2": 128, "relu3_3": 256, "relu4_3": 512}
    return StyleRecipe.model_validate(
        _AS_PUBLISHED
        | {
            "architecture": "johnson2016",
            "steps": 40_000,
            "loss_networks": (loss_network,),
            "content_taps": ("relu2_2",),
            "style_taps": tuple(f"{tap}={1 / count**2}" for tap, count in channels.items()),
            "content_weight": 1.0,
            "style_weight": 5 * scale**2,
            "variation_weight": 2e-6 * (255 / scale) ** 2,
        }
    )


STYLE_RECIPES: dict[str, StyleRecipe] = {
    "default": StyleRecipe(),
    "fine-tune": StyleRecipe(steps=1000, ema=0.998),
    "laptop": StyleRecipe(steps=600, batch=2, size=192, ema=0.99),
    "paper": _as_published("vgg16", _TORCHVISION_SCALE),
    "paper-caffe": _as_published("vgg16-caffe", 1.0),
}
"""Recipes keyed by the names that `impasto train style --recipe` takes. `fine-tune` and `laptop` are for starting from
another style. The loss network of `paper` is torchvision's VGG-16; that of `paper-caffe` is the authors' own, for which
a file must be given."""

_LOSS_WEIGHTS = ("content_weight", "style_weight", "variation_weight")


def style_recipe(
    named: str | None,
    started: Mapping[str, JsonValue] | None,
    changes: Mapping[str, object],
    spelling: Callable[[str], str] = str,
) -> StyleRecipe:
    """Return the recipe to train a style with.

    Args:
        named: Name in `STYLE_RECIPES` of the recipe to begin with; if not given, `fine-tune` for a net that starts
            from another, else `default`.
        started: Settings of the net that the style starts from, if it starts from one.
        changes: Settings that differ from those of the recipe.
        spelling: Function that spells the name of a setting in error messages, for example as an option.

    Raises:
        BadRecipe: The losses differ from those of the recipe, and not all of their weights are given.
        ValidationError: A setting is out of its range, or contradicts another.
    """
    base = STYLE_RECIPES[named or ("default" if started is None else "fine-tune")]
    if changes.get("losses", base.losses) != base.losses and not changes.keys() >= set(_LOSS_WEIGHTS):
        content, style, variation = map(spelling, _LOSS_WEIGHTS)
        raise BadRecipe(
            f"other {spelling('losses')} need {content}, {style} and {variation} too, because their scale is another: "
            "absolute ones depend on the loss network (see the recipe paper)"
        )
    return changed(base, started or {}, changes)


_PAPER_PIXEL = SuperResolutionRecipe.model_validate(
    _AS_PUBLISHED
    | {
        "architecture": "johnson2016-super-resolution",
        "steps": 200_000,
        "patch": 288,
        "degradation": "blur",
        "pixel_loss": "squared",
    }
)

SUPER_RESOLUTION_RECIPES: dict[tuple[str, str], SuperResolutionRecipe] = {
    ("default", "pixel"): SuperResolutionRecipe(),
    ("default", "feature"): SuperResolutionRecipe(
        steps=3000,
        learning_rate=1e-4,
        pixel_weight=0.3,
        feature_weight=1.0,
        feature_taps=("relu1_2", "relu2_2"),
        texture_weight=3.0,
        grid_weight=15.0,
    ),
    ("paper", "pixel"): _PAPER_PIXEL,
    ("paper", "feature"): _PAPER_PIXEL.model_copy(update={"pixel_weight": 0.0, "feature_weight": 1.0}),
    ("srcnn", "pixel"): SuperResolutionRecipe(
        architecture="srcnn", steps=9000, batch=8, learning_rate=1e-3, patch=64, pixel_loss="squared"
    ),
}
"""Recipes keyed by the names that `impasto train super-resolution` takes in `--recipe` and `--loss`."""
