"""SRCNN, the first convolutional net for super-resolution, which is the baseline of the paper's tables."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_store.card import Task
from model_store.nets import bicubic
from model_store.nets.luma import luma, with_luma
from model_store.nets.transform_net import TransformNet

_KERNELS = {"9-1-5": (9, 1, 5), "9-5-5": (9, 5, 5)}
"""The sides of the three kernels in pixels, by the names of the variants."""


class SRCNN(TransformNet):
    """A net of three convolutions on the luma of a bicubic enlargement (Dong et al. 2014, 2016).

    The first two convolutions have 64 and 32 filters, each followed by a ReLU; the third gives the luma itself, not a
    correction of it. The chroma stays bicubic. Two things differ from the publication: the edge pixels are repeated
    beforehand, so that the unpadded convolutions keep the size; and the filters start near the identity, so that an
    untrained net is nearly bicubic, whereas the authors start near zero and need 10^8 steps.

    Args:
        factor: The factor of enlargement, 2, 4 or 8.
        kernels: The sides of the three kernels: `9-1-5` (2014) or `9-5-5` (2016, better and seven times slower).

    Raises:
        ValueError: The factor or the kernels are others.
    """

    task: Task = "super-resolve"

    def __init__(self, factor: int = 4, kernels: str = "9-1-5") -> None:
        super().__init__()
        if factor not in (2, 4, 8):
            raise ValueError(f"factor must be 2, 4 or 8, not {factor}")
        if kernels not in _KERNELS:
            raise ValueError(f"kernels must be {' or '.join(_KERNELS)}, not {kernels}")
        self.factor = factor
        first, second, third = _KERNELS[kernels]
        self.margin = (first + second + third - 3) // 2
        self.halo = math.ceil(self.margin / factor) + bicubic.REACH
        self.layers = nn.Sequential(
            nn.Conv2d(1, 64, first),
            nn.ReLU(inplace=True),
            nn.Conv2d(64, 32, second),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 1, third),
        )
        _start_at_identity(self.layers)

    def transform(self, pictures: Tensor) -> Tensor:
        """Map `(N, 3, H, W)` to `(N, 3, H·factor, W·factor)`, in float32, because bfloat16 would round the luma."""
        enlarged = bicubic.enlarge(pictures, self.factor)
        with torch.autocast(pictures.device.type, enabled=False):
            padded = F.pad(luma(enlarged), (self.margin,) * 4, mode="replicate")
            return with_luma(enlarged, self.layers(padded))


@torch.no_grad()
def _start_at_identity(layers: nn.Sequential) -> None:
    """Make the first filter of each layer pass the luma on, and the last layer add hardly anything of the others."""
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    for bias in (parameter for name, parameter in layers.named_parameters() if name.endswith("bias")):
        nn.init.zeros_(bias)
    for conv in convolutions:
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    nn.init.normal_(convolutions[-1].weight, std=0.001)
    for conv in convolutions:
        centre = conv.kernel_size[0] // 2
        conv.weight[0] = 0
        conv.weight[0, 0, centre, centre] = 1
