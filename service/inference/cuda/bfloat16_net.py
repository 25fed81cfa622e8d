"""Nets that do their convolutions in bfloat16."""

import torch
from torch import Tensor, nn

from model_store.nets import TransformNet


class Bfloat16Net(TransformNet):
    """Does what a net does, but for the rounding of kernels and features.

    What pictures are subtracted from, added to, or enlarged by is in float32.

    Args:
        net: in float32; is changed.
    """

    def __init__(self, net: TransformNet) -> None:
        super().__init__()
        self.task, self.factor, self.multiple = net.task, net.factor, net.multiple
        self.net = net.to(memory_format=torch.channels_last)
        for module in net.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                module.to(torch.bfloat16)
        self.requires_grad_(requires_grad=False).eval()

    def transform(self, pictures: Tensor) -> Tensor:
        """As the net's."""
        # No cache: there is nothing to keep in it, as the kernels are in bfloat16 already.
        with torch.autocast(pictures.device.type, torch.bfloat16, cache_enabled=False):
            return self.net.transform(pictures.contiguous(memory_format=torch.channels_last)).float()
