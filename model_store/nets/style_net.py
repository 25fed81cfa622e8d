"""The style net that this project trains by default."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from model_store.nets.transform_net import TransformNet


class StyleNet(TransformNet):
    """The style net of the paper with later improvements: `c9s1-w, d2w, d4w, R4w ×5, u2w, uw, c9s1-3`.

    It has InstanceNorm instead of BatchNorm, reflection padding at every convolution, nearest-neighbour upsampling
    before a convolution instead of fractional strides, and a scaled tanh that leaves a twentieth of the range above and
    below [0, 1].

    Args:
        width: The number of channels of the first layer; the paper's net has 32, its authors' later nets have 16.
        residual_blocks: The number of residual blocks, which work at a quarter of the size.
    """

    multiple = 4
    is_bounded = True
    """Whether a tanh keeps the result near [0, 1]."""

    def __init__(self, width: int = 32, residual_blocks: int = 5) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            *_conv_norm(3, width, kernel=9),
            *_conv_norm(width, 2 * width, stride=2),
            *_conv_norm(2 * width, 4 * width, stride=2),
        )
        self.residuals = nn.Sequential(*(ResidualBlock(4 * width) for _ in range(residual_blocks)))
        self.decoder = nn.Sequential(
            nn.Upsample(scale_factor=2),
            *_conv_norm(4 * width, 2 * width),
            nn.Upsample(scale_factor=2),
            *_conv_norm(2 * width, width),
            _conv(width, 3, kernel=9),
        )

    def transform(self, pictures: Tensor) -> Tensor:
        """Map `(N, 3, H, W)`, with H and W multiples of 4, to the same shape."""
        features = self.residuals(self.encoder(pictures * 2 - 1))
        return self.to_pixels(self.decoder(features).float())

    @staticmethod
    def to_pixels(values: Tensor) -> Tensor:
        """Map what the last convolution makes to pixels in about [0, 1]."""
        return 0.55 * torch.tanh(values) + 0.5


class FastNeuralStyleNet(StyleNet):
    """The net of PyTorch's example `fast_neural_style`, whose last layer makes pixels as they are, without a tanh."""

    is_bounded = False

    @staticmethod
    def to_pixels(values: Tensor) -> Tensor:
        """Return the pixels that the last convolution makes."""
        return values


class ResidualBlock(nn.Module):
    """A residual block of two 3×3 convolutions, without a ReLU after the sum (Gross and Wilber's variant)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            _conv(channels, channels),
            _norm(channels),
            nn.ReLU(inplace=True),
            _conv(channels, channels),
            _norm(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to the same shape."""
        branch: Callable[[Tensor], Tensor] = self.branch
        return features + branch(features)


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, padding_mode="reflect")


def _norm(channels: int) -> nn.InstanceNorm2d:
    return nn.InstanceNorm2d(channels, affine=True)


def _conv_norm(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> tuple[nn.Module, ...]:
    return _conv(inputs, outputs, kernel, stride), _norm(outputs), nn.ReLU(inplace=True)
