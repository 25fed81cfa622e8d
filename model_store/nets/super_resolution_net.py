"""The super-resolution net that this project trains by default."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from model_store.card import Task
from model_store.nets import bicubic
from model_store.nets.transform_net import TransformNet

MEAN_LEVEL = 0.45
"""The mean value of photos in [0, 1], which is subtracted before the first layer."""


class SuperResolutionNet(TransformNet):
    """A net that adds detail to a bicubic enlargement (after EDSR, Lim et al. 2017).

    Residual blocks without normalisation work at the small size, and steps of ×2 by pixel shuffle follow. The last
    layer starts near zero, so that an untrained net is nearly bicubic.

    Args:
        factor: The factor of enlargement, 2, 4 or 8.
        channels: The number of channels of every layer.
        residual_blocks: The number of residual blocks.

    Raises:
        ValueError: The factor is another one.
    """

    task: Task = "super-resolve"

    def __init__(self, factor: int = 4, channels: int = 64, residual_blocks: int = 16) -> None:
        super().__init__()
        if factor not in (2, 4, 8):
            raise ValueError(f"factor must be 2, 4 or 8, not {factor}")
        self.factor = factor
        # A pixel for each convolution at the small size, and two for those after it and for the bicubic enlargement.
        self.halo = 2 * residual_blocks + 4
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.body = nn.Sequential(*(ResidualBlock(channels) for _ in range(residual_blocks)))
        self.tail = nn.Conv2d(channels, channels, 3, padding=1)
        self.upsample = nn.ModuleList(
            nn.Conv2d(channels, 4 * channels, 3, padding=1) for _ in range(factor.bit_length() - 1)
        )
        self.last = nn.Conv2d(channels, 3, 3, padding=1)
        _start_small(self.last)

    def transform(self, pictures: Tensor) -> Tensor:
        """Map `(N, 3, H, W)` to `(N, 3, H·factor, W·factor)`."""
        return bicubic.enlarge(pictures, self.factor) + self.detail(self.features(pictures))

    def features(self, pictures: Tensor) -> Tensor:
        """Map pictures, `(N, 3, H, W)`, to features, `(N, C, H, W)`."""
        head: Tensor = self.head(pictures - MEAN_LEVEL)
        features: Tensor = head + self.tail(self.body(head))
        return features

    def detail(self, features: Tensor) -> Tensor:
        """Map features, `(N, C, H, W)`, linearly to detail, `(N, 3, H·factor, W·factor)`."""
        for conv in self.upsample:
            features = F.pixel_shuffle(conv(features), 2)
        detail: Tensor = self.last(features)
        return detail


class ResidualBlock(nn.Module):
    """A residual block of a 3×3 convolution, a ReLU and another convolution, without normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
        )
        _start_small(self.branch[2])

    def forward(self, features: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to the same shape."""
        branch: Callable[[Tensor], Tensor] = self.branch
        return features + branch(features)


def _start_small(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        parameter.data.mul_(0.1)
