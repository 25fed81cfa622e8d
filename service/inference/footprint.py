"""The memory that nets need on a CPU, which kills the process where there is too little."""

from torch import nn

from model_store.nets import SelfEnsemble, TransformNet
from service.inference.cpu.style_net import CpuStyleNet
from service.inference.super_resolution_net import FoldedSuperResolutionNet


def bytes_per_pixel(net: TransformNet) -> int:
    """What a net on a CPU, with the copies around it, needs at once for each pixel of its input.

    By the features that are there at the same time, as measured on pictures of 1 to 8 megapixels, and a quarter more
    for what the allocator keeps.
    """
    enlarged = net.factor**2
    if isinstance(net, SelfEnsemble):
        return bytes_per_pixel(net.net) + 16 * enlarged
    if isinstance(net, CpuStyleNet):
        return 32 + 9 * net.width
    if isinstance(net, FoldedSuperResolutionNet):
        channels = net.net.head.out_channels
        return max(20 * channels, 5 * channels + 36 * enlarged)
    # As if all features were of the output's size, and no more than four of them there.
    widest = max((layer.out_channels for layer in net.modules() if isinstance(layer, nn.Conv2d)), default=3)
    return 16 * widest * enlarged
