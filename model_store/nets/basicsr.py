"""The super-resolution nets of the toolbox BasicSR, as their published weights need them."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_store.card import Task
from model_store.nets.transform_net import TransformNet

_SLOPE = 0.1
"""Slope of SRResNet's activations below 0."""


class EDSR(TransformNet):
    """The net of Lim et al. 2017, without a bicubic enlargement beside it.

    Args:
        factor: Factor of enlargement, 2, 4 or 8.
        channels: Number of channels of every layer.
        residual_blocks: Number of residual blocks.
        residual_scale: Factor of the branches, 0.1 in the paper's large net.
    """

    task: Task = "super-resolve"
    mean: Tensor

    def __init__(
        self, factor: int = 4, channels: int = 64, residual_blocks: int = 16, residual_scale: float = 1
    ) -> None:
        super().__init__()
        self.factor, self.halo = factor, 2 * residual_blocks + 4
        self.register_buffer("mean", torch.tensor([0.4488, 0.4371, 0.4040]).view(3, 1, 1), persistent=False)
        self.conv_first = _conv(3, channels)
        self.body = nn.Sequential(*(ResidualBlock(channels, residual_scale) for _ in range(residual_blocks)))
        self.conv_after_body = _conv(channels, channels)
        steps = ((_conv(channels, 4 * channels), nn.PixelShuffle(2)) for _ in range(factor.bit_length() - 1))
        self.upsample = nn.Sequential(*(layer for step in steps for layer in step))
        self.conv_last = _conv(channels, 3)

    def transform(self, pictures: Tensor) -> Tensor:
        """Map `(N, 3, H, W)` to `(N, 3, H·factor, W·factor)`."""
        first = self.conv_first((pictures - self.mean) * 255)
        result: Tensor = self.conv_last(self.upsample(first + self.conv_after_body(self.body(first))))
        return result / 255 + self.mean


class SRResNet(TransformNet):
    """The net of Ledig et al. 2017 without normalisation, which adds detail to a bilinear enlargement.

    Args:
        factor: Factor of enlargement, 2 or 4.
        channels: Number of channels of every layer.
        residual_blocks: Number of residual blocks.
    """

    task: Task = "super-resolve"

    def __init__(self, factor: int = 4, channels: int = 64, residual_blocks: int = 16) -> None:
        super().__init__()
        self.factor, self.halo = factor, 2 * residual_blocks + 4
        self.conv_first = _conv(3, channels)
        self.body = nn.Sequential(*(ResidualBlock(channels) for _ in range(residual_blocks)))
        for step in range(1, factor.bit_length()):
            self.add_module(f"upconv{step}", _conv(channels, 4 * channels))
        self.conv_hr, self.conv_last = _conv(channels, channels), _conv(channels, 3)

    def transform(self, pictures: Tensor) -> Tensor:
        """Map `(N, 3, H, W)` to `(N, 3, H·factor, W·factor)`."""
        features = self.body(F.leaky_relu(self.conv_first(pictures), _SLOPE))
        for step in range(1, self.factor.bit_length()):
            upconv = self.get_submodule(f"upconv{step}")
            features = F.leaky_relu(F.pixel_shuffle(upconv(features), 2), _SLOPE)
        detail: Tensor = self.conv_last(F.leaky_relu(self.conv_hr(features), _SLOPE))
        return detail + F.interpolate(pictures, scale_factor=self.factor, mode="bilinear", align_corners=False)


class ResidualBlock(nn.Module):
    """A residual block of a convolution, a ReLU and another convolution, without normalisation."""

    def __init__(self, channels: int, scale: float = 1) -> None:
        super().__init__()
        self.conv1, self.conv2, self.scale = _conv(channels, channels), _conv(channels, channels), scale

    def forward(self, features: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to the same shape."""
        branch: Callable[[Tensor], Tensor] = self.conv2
        return features + branch(F.relu(self.conv1(features))) * self.scale


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)
