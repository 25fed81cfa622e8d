"""The settings that a light net is trained with."""

from typing import Literal

from pydantic import Field, JsonValue

from trainer.recipes import Recipe


class LightRecipe(Recipe):
    """The settings with which a light net learns the paintings of a full net, and then the full net's own objective."""

    architecture: Literal["light-style-net"] = Field(
        default="light-style-net", description="Architecture of the light net."
    )
    width: int = Field(default=48, ge=4, multiple_of=2, description="Channels of the light net's body.")
    residual_blocks: int = Field(default=5, ge=1, description="Number of residual blocks of the light net.")
    paintings: int = Field(
        default=2000, ge=1, description="Number of photos that the full net paints, once; all if there are fewer."
    )
    size: int = Field(default=256, ge=32, description="Side of the photos, in pixels.")
    steps: int = Field(default=3000, ge=1, description="Number of batches of paintings to learn.")
    batch: int = Field(default=2, ge=1, description="Number of photos in a step.")
    learning_rate: float = Field(default=2e-3, gt=0, description="Learning rate of Adam at its peak.")
    gradient_norm: float = Field(
        default=1.0, ge=0, description="Norm that gradients are clipped to; 0: gradients are not clipped."
    )
    ema: float = Field(
        default=0.99, ge=0, lt=1, description="Decay of the moving average of the weights; 0: no average is taken."
    )
    pixel_weight: float = Field(default=1.0, ge=0, description="Weight of the mean absolute difference of pixels.")
    edge_weight: float = Field(
        default=1.0,
        ge=0,
        description="Weight of the mean absolute difference of the steps between pixels.",
    )
    grid_weight: float = Field(
        default=5.0, ge=0, description="Weight of the loss against patterns that repeat with the cells of the net."
    )
    feature_weight: float = Field(
        default=0.1, ge=0, description="Weight of feature reconstruction, where there is a loss network."
    )
    feature_taps: tuple[str, ...] = Field(
        default=("relu1_2", "relu2_2"),
        description="Layer of a loss network whose features are compared, as in relu2_2; repeatable.",
    )
    feature_window: int = Field(
        default=96, ge=32, description="Side of the random window whose features are compared, in pixels."
    )
    loss_networks: tuple[str, ...] = Field(
        default=(),
        description="Loss network, as LAYOUT:FILE: that of the full net, as in vgg16-caffe:vgg16.safetensors; "
        "repeatable.",
    )
    end_steps: int = Field(
        default=300, ge=0, description="Number of last batches, which learn the objective of the full net."
    )
    end_rate: float = Field(default=1e-3, gt=0, description="Learning rate of Adam at its peak in the last batches.")

    @property
    def parameters(self) -> dict[str, JsonValue]:
        """Return the parameters that the architecture is built with."""
        return {"width": self.width, "residual_blocks": self.residual_blocks}

    def size_at(self, _step: int) -> int:
        """Return the side of the photos of a step, in pixels, which is the same at every step."""
        return self.size
