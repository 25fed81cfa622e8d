"""The nets as published in the paper (Johnson et al. 2016, supplementary tables 1 and 2), for comparison with it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from model_store.card import Task
from model_store.nets.transform_net import TransformNet

_BORDER = 40
"""Pixels by which the style net pads a picture on each side, as in the paper."""


class Johnson2016StyleNet(TransformNet):
    """The style net of supplementary table 1: `c9s1-32, d64, d128, R128 ×5, u64, u32, c9s1-3` with BatchNorm.

    The picture is padded once by 40 pixels, by reflection; the residual blocks are unpadded and remove that border.
    Fractional strides are transposed convolutions, and a scaled tanh gives results in [0, 1].

    Args:
        width: The number of channels of the first layer; the paper's net has 32.
    """

    multiple = 4

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_conv_norm(3, width, kernel=9),
            *_conv_norm(width, 2 * width, stride=2),
            *_conv_norm(2 * width, 4 * width, stride=2),
            *(ResidualBlock(4 * width, padding=0) for _ in range(5)),
            *_fractional_stride(4 * width, 2 * width),
            *_fractional_stride(2 * width, width),
            nn.Conv2d(width, 3, 9, padding=4),
        )
        _start_norms_as_published(self)

    def transform(self, pictures: Tensor) -> Tensor:
        """Map `(N, 3, H, W)`, with H and W multiples of 4, to the same shape."""
        result: Tensor = self.layers(_reflect(pictures, _BORDER) * 2 - 1)
        return 0.5 * torch.tanh(result.float()) + 0.5


class Johnson2016SuperResolutionNet(TransformNet):
    """The super-resolution net of supplementary table 2: `c9s1-64, R64 ×4, u64 ×log2(factor), c9s1-3` with BatchNorm.

    Args:
        factor: The factor of enlargement, 4 or 8.

    Raises:
        ValueError: The factor is another one.
    """

    task: Task = "super-resolve"

    def __init__(self, factor: int = 4) -> None:
        super().__init__()
        if factor not in (4, 8):
            raise ValueError(f"the paper has nets for factors 4 and 8, not {factor}")
        self.factor = factor
        upsampling = (_fractional_stride(64, 64) for _ in range(factor.bit_length() - 1))
        self.layers = nn.Sequential(
            *_conv_norm(3, 64, kernel=9),
            *(ResidualBlock(64, padding=1) for _ in range(4)),
            *(layer for step in upsampling for layer in step),
            nn.Conv2d(64, 3, 9, padding=4),
        )
        _start_norms_as_published(self)

    def transform(self, pictures: Tensor) -> Tensor:
        """Map `(N, 3, H, W)` to `(N, 3, H·factor, W·factor)`."""
        result: Tensor = self.layers(pictures * 2 - 1)
        return 0.5 * torch.tanh(result.float()) + 0.5


class ResidualBlock(nn.Module):
    """A residual block of two 3×3 convolutions, whose identity is cropped if they are unpadded.

    Args:
        channels: The number of channels.
        padding: The padding of each convolution in pixels, 0 or 1.
    """

    def __init__(self, channels: int, padding: int) -> None:
        super().__init__()
        self.crop = 2 * (1 - padding)
        self.branch = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=padding),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=padding),
            nn.BatchNorm2d(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to `(N, C, H-2·crop, W-2·crop)`."""
        height, width = features.shape[-2:]
        branch: Callable[[Tensor], Tensor] = self.branch
        identity = features[..., self.crop : height - self.crop, self.crop : width - self.crop]
        return identity + branch(features)


def _conv_norm(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)
    return conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)


def _fractional_stride(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    conv = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
    return conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)


def _start_norms_as_published(net: nn.Module) -> None:
    """Draw the scales γ of all BatchNorm layers from U(0, 1), as the authors' code does."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight)


def _reflect(pictures: Tensor, margin: int) -> Tensor:
    """Pad pictures by reflection, reflecting more than once if a picture is smaller than the margin."""
    for dimension in (-2, -1):
        last = pictures.shape[dimension] - 1
        position = torch.arange(-margin, last + margin + 1, device=pictures.device)
        position = position % torch.full_like(position, 2 * last)  # not of a number: ONNX has no such operator
        index = torch.where(position <= last, position, 2 * last - position)
        pictures = pictures.index_select(dimension, index)
    return pictures
