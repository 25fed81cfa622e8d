"""Inference forms, which are nets rearranged so that they compute the same in less time."""

from model_store.nets import StyleNet, SuperResolutionNet, TransformNet
from service.inference.cpu.large_style_net import LargeStyleNet
from service.inference.cpu.super_resolution_net import CpuSuperResolutionNet
from service.inference.cuda.form import form_for_cuda


def inference_form(net: TransformNet, *, is_exact: bool = False) -> TransformNet:
    """Return the form of a net that is fastest on the device where the net is.

    Args:
        net: A net in evaluation mode, in float32; it may be taken apart for the form.
        is_exact: Whether to compute in float32 even where half precision is faster.

    Returns:
        A net whose results differ from those of the given one by rounding only: by far less than 1/255 in float32, and
        by less than 1/255 in the mean in half precision.
    """
    device = next((parameter.device for parameter in net.parameters()), None)
    if device is not None and device.type == "cuda":
        return form_for_cuda(net, device, is_exact=is_exact)
    if isinstance(net, SuperResolutionNet):
        return CpuSuperResolutionNet(net)
    if isinstance(net, StyleNet):
        return LargeStyleNet(net)
    return net
