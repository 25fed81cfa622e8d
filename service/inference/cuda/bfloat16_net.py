"""Nets whose convolutions are computed in bfloat16."""

import torch
from torch import Tensor, nn

from model_store.nets import TransformNet


class Bfloat16Net(TransformNet):
    """A net that makes what another makes, but for the rounding of kernels and features.

    Pictures are in float32 wherever something is subtracted from them or added to them, and where they are enlarged.

    Args:
        net: Net in float32; it is changed.
    """

    def __init__(self, net: TransformNet) -> None:
        super().__init__()
        self.task, self.factor, self.multiple, self.halo = net.task, net.factor, net.multiple, net.halo
        self.net = net.to(memory_format=torch.channels_last)
        for module in net.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                module.to(torch.bfloat16)
        self.requires_grad_(requires_grad=False).eval()

    def transform(self, pictures: Tensor) -> Tensor:
        """Map `(N, 3, H, W)` to `(N, 3, H·factor, W·factor)` in float32."""
        # The cache of autocast would keep nothing, because the kernels are in bfloat16 already.
        with torch.autocast(pictures.device.type, torch.bfloat16, cache_enabled=False):
            return self.net.transform(pictures.contiguous(memory_format=torch.channels_last)).float()
