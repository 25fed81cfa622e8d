"""The convolution of loss networks, whose weights never change."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_store.convolutions import winograd

_FEWEST_WEIGHTS = 64 * 128
"""Smallest number of pairs of input and output channels for which Winograd's algorithm is faster on a CPU."""


class FrozenConvolution(nn.Conv2d):
    """A 3×3 convolution with zero padding of 1, computed by Winograd's algorithm where that is faster.

    On a CPU, the output is laid out channels-last. The weights must not be changed after the first use.

    Args:
        inputs: Number of input channels, C.
        outputs: Number of output channels, K.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)
        self.bias: nn.Parameter
        self.requires_grad_(requires_grad=False)
        self._prepared: dict[torch.dtype, tuple[Tensor, Tensor]] = {}

    def forward(self, features: Tensor) -> Tensor:
        """Convolve features, `(N, C, H, W)` to `(N, K, H, W)`."""
        if features.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(features)
        features = features.contiguous(memory_format=torch.channels_last)
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else features.dtype
        if self.in_channels * self.out_channels < _FEWEST_WEIGHTS:
            return super().forward(features)
        with torch.autocast("cpu", enabled=False):
            padded = F.pad(features.to(dtype).permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
            return winograd.convolve(padded, *self._prepare(dtype)).permute(0, 3, 1, 2)

    @torch.no_grad()
    def _prepare(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return the transformed kernel and the bias in a precision, which are computed once."""
        if dtype not in self._prepared:
            with torch.inference_mode(mode=False):
                self._prepared[dtype] = winograd.transform_kernel(self.weight).to(dtype), self.bias.to(dtype)
        return self._prepared[dtype]
