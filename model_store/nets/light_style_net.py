"""The light style net, which paints at a small share of the work of the full one and learns from its paintings."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_store.nets.transform_net import TransformNet

_CELL = 4
"""Side in pixels of the squares that the first layer reads, and of those that the last layers make."""


class LightStyleNet(TransformNet):
    """A style net without features of the whole size: pixel unshuffle by 4, `c3s1-w, Rw ×5`, and two pixel shuffles.

    A pixel unshuffle makes 48 channels at a quarter of the size of the picture, where a convolution and the residual
    blocks work. One convolution and pixel shuffle leads to half the size, with half the channels, and a last one to the
    pixels. InstanceNorm, reflection padding and the scaled tanh are those of `StyleNet`. At the width 48 it does an
    eighth of the work of a `StyleNet` of the width 32.

    A constant in a channel has no effect before a normalisation, which subtracts it again. So there are no biases, and
    activations are shifted so that those of a flat picture are 0: of any other constant the convolutions would make a
    pattern of rounding errors, which the normalisations would amplify. A parameter holds the colour of flat pictures.

    A convolution before a pixel shuffle answers to flat features with the same in all pixels of a cell, and starts with
    the same kernels for them (Aitken et al. 2017). So flat parts of a picture have no checkerboard.

    Args:
        width: The number of channels at a quarter of the size; even.
        residual_blocks: The number of residual blocks.

    Raises:
        ValueError: The width is odd.
    """

    multiple = _CELL

    def __init__(self, width: int = 48, residual_blocks: int = 5) -> None:
        super().__init__()
        if width % 2:
            raise ValueError(f"the width must be even, not {width}")
        self.width = width
        self.stem = nn.Sequential(_conv(3 * _CELL**2, width), _Activation(width))
        self.residuals = nn.Sequential(*(_ResidualBlock(width) for _ in range(residual_blocks)))
        self.enlarge = nn.Sequential(_Enlarging(width, width // 2), _Activation(width // 2))
        self.last = _Enlarging(width // 2, 3)
        self.flat = nn.Parameter(torch.zeros(3))

    @property
    def bytes_per_pixel(self) -> int:
        """Bytes of memory for each pixel of the input; see `TransformNet.bytes_per_pixel`."""
        return 64 + 2 * self.width

    def transform(self, pictures: Tensor) -> Tensor:
        """Map `(N, 3, H, W)`, with H and W multiples of 4, to the same shape."""
        shifted = (pictures - pictures[..., :1, :1]) * 2
        cells = F.pixel_unshuffle(shifted, _CELL).contiguous(memory_format=torch.channels_last)
        painted = self.last(self.enlarge(self.residuals(self.stem(cells)))).float() + self.flat[:, None, None]
        return 0.55 * torch.tanh(painted) + 0.5


class _Activation(nn.Module):
    """InstanceNorm and ReLU, less the constant that the ReLU makes of a flat picture.

    Args:
        channels: The number of channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to the same shape."""
        flat = F.relu(self.shift)
        normalised = _normalise(features, self.scale, self.shift - flat)
        return torch.maximum(normalised, -flat.to(normalised.dtype)[:, None, None])


class _Norm(nn.Module):
    """InstanceNorm with a scale for each channel.

    Args:
        channels: The number of channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))

    def forward(self, features: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to the same shape."""
        return _normalise(features, self.scale)


def _normalise(features: Tensor, scale: Tensor, shift: Tensor | None = None) -> Tensor:
    """Apply InstanceNorm; on a CPU as a batch norm of each picture, which is fast in the channels-last layout."""
    if features.device.type != "cpu":
        return F.instance_norm(features, None, None, scale, shift)
    normalised = [
        F.batch_norm(picture, None, None, scale, shift, training=True) for picture in torch.split(features, 1)
    ]
    return torch.cat(normalised) if len(normalised) > 1 else normalised[0]


class _ResidualBlock(nn.Module):
    """A residual block of two 3×3 convolutions, without a ReLU after the sum, as in `StyleNet`.

    Args:
        channels: The number of channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            _conv(channels, channels), _Activation(channels), _conv(channels, channels), _Norm(channels)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to the same shape."""
        branch: Callable[[Tensor], Tensor] = self.branch
        return branch(features).add_(features)


class _Enlarging(nn.Conv2d):
    """A 3×3 convolution and a pixel shuffle by 2, which make the same of flat features in all four pixels of a cell.

    The kernels are ordered by row and column of the pixel in its cell, then by channel.

    Args:
        inputs: The number of channels of the small picture.
        outputs: The number of channels of the large one.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, 4 * outputs, 3, bias=False)
        with torch.no_grad():
            self.weight.copy_(self.weight[:outputs].repeat(4, 1, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to `(N, K, 2·H, 2·W)`, laid out channels-last."""
        kernels = self.weight.view(4, -1, *self.weight.shape[1:])
        gains = kernels.sum((3, 4), keepdim=True)
        even = kernels - (gains - gains.mean(0)) / 9
        made = F.conv2d(F.pad(features, (1, 1, 1, 1), mode="reflect"), even.flatten(0, 1))
        count, channels, height, width = made.shape
        cells = made.permute(0, 2, 3, 1).reshape(count, height, width, 2, 2, channels // 4)
        return cells.transpose(2, 3).reshape(count, 2 * height, 2 * width, channels // 4).permute(0, 3, 1, 2)


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    """Return a 3×3 convolution that pads by reflection."""
    return nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="reflect", bias=False)
