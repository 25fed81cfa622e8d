"""Random weights of loss networks."""

import torch
from torch import Tensor

_VGG19 = {0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128), 10: (128, 256)}
_VGG16 = {
    0: (3, 64),
    2: (64, 64),
    5: (64, 128),
    7: (128, 128),
    10: (128, 256),
    12: (256, 256),
    14: (256, 256),
    17: (256, 512),
    19: (512, 512),
    21: (512, 512),
}
"""The channels that go in and out of each convolution, by its place among torchvision's layers."""


def vgg19_normalised() -> dict[str, Tensor]:
    """Return weights of a normalised VGG-19 that ends at conv3_1."""
    prepare = {"conv0.weight": torch.eye(3)[..., None, None].contiguous(), "conv0.bias": torch.zeros(3)}
    return prepare | _convolutions(_VGG19)


def vgg16() -> dict[str, Tensor]:
    """Return weights of a VGG-16 that ends at conv4_3, in float16, which makes their file small."""
    return {name: value.half() for name, value in _convolutions(_VGG16).items()}


def _convolutions(channels: dict[int, tuple[int, int]]) -> dict[str, Tensor]:
    torch.manual_seed(0)
    weights = {}
    for index, (inputs, outputs) in channels.items():
        weights[f"features.{index}.weight"] = torch.randn(outputs, inputs, 3, 3) * (2 / (9 * inputs)) ** 0.5
        weights[f"features.{index}.bias"] = torch.zeros(outputs)
    return weights
