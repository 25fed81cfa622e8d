"""The form of a net for CUDA, if it does there what the net does."""

import copy
import logging
import math
from collections.abc import Callable

import torch
from torch import Tensor

from model_store.nets import SRCNN, StyleNet, SuperResolutionNet, TransformNet
from service.inference.bfloat16_net import Bfloat16Net
from service.inference.cuda_graphs import GraphedNet
from service.inference.super_resolution_net import FoldedSuperResolutionNet

_log = logging.getLogger(__name__)

_LIMITS = {torch.float32: (0.25, 4.0), torch.bfloat16: (1.0, 16.0)}
"""Of the mean and of the largest difference, in 255ths, by what convolutions are computed in. Those of the bundled nets
are a fifth of it at most; where something is broken they are many times as large."""


def cuda_form(net: TransformNet, device: torch.device, *, is_exact: bool) -> TransformNet:
    """The fastest form that does what the net does on this device: folded, fused, in bfloat16, as CUDA graphs.

    Where a form cannot be made, or makes something else of a small picture, the log says why and the net runs as it is.

    Args:
        net: on the device, in float32; may be changed.
        device: of CUDA.
        is_exact: whether to compute in float32, as a device without bfloat16 does anyway.

    Raises:
        torch.OutOfMemoryError: there is not enough memory on the device.
    """
    has_bfloat16 = torch.cuda.get_device_capability(device) >= (8, 0)
    dtype = torch.float32 if is_exact or not has_bfloat16 else torch.bfloat16
    # What is folded is folded on the CPU, because CUDA rounds the factors of a convolution.
    form = checked(net, lambda net: rearranged(copy.deepcopy(net).cpu(), dtype).to(device), dtype)
    torch.cuda.current_stream(device).synchronize()  # lanes have streams of their own
    return GraphedNet(form)


def rearranged(net: TransformNet, dtype: torch.dtype) -> TransformNet:
    """The form itself.

    Args:
        net: in float32; may be changed.
        dtype: of features and kernels, where that is sound.

    Raises:
        ImportError: triton is missing.
    """
    if isinstance(net, StyleNet):
        from service.inference.cuda_style_net import CudaStyleNet  # noqa: PLC0415  (needs triton)

        return CudaStyleNet(net, dtype)
    if isinstance(net, SuperResolutionNet):
        net = FoldedSuperResolutionNet(net)
    # What SRCNN computes is the picture itself, not what is added to one.
    return Bfloat16Net(net) if dtype == torch.bfloat16 and not isinstance(net, SRCNN) else net


def checked(net: TransformNet, make: Callable[[TransformNet], TransformNet], dtype: torch.dtype) -> TransformNet:
    """A form of a net, or the net itself where that cannot be made or does something else.

    Args:
        net: in float32; should be as it was after `make`.
        make: makes the form, on the device of the net.
        dtype: what convolutions of the form are computed in, which says how far it may differ.

    Raises:
        torch.OutOfMemoryError: there is not enough memory on the device.
    """
    try:
        form = make(net)
        reason = _difference(net, form, dtype)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
    if reason is None:
        return form
    _log.warning(
        "%s runs in float32 as it is, which takes longer, because its fast form fails: %s", type(net).__name__, reason
    )
    return net.to(memory_format=torch.channels_last)


@torch.inference_mode()
def _difference(net: TransformNet, form: TransformNet, dtype: torch.dtype) -> str | None:
    """What the form does wrong with small pictures, if anything."""
    pictures = _waves(next(net.parameters()).device)
    wanted, found = net(pictures), form(pictures)
    if found.shape != wanted.shape:
        return f"it makes {tuple(found.shape)} of {tuple(pictures.shape)}, not {tuple(wanted.shape)}"
    differences = (found - wanted).abs().mul_(255)
    mean, largest = differences.mean().item(), differences.max().item()
    if mean <= _LIMITS[dtype][0] and largest <= _LIMITS[dtype][1]:  # neither if they are not numbers
        return None
    return f"it differs by {mean:.3g}/255 in the mean and by {largest:.3g}/255 at most"


def _waves(device: torch.device) -> Tensor:
    """Two pictures of smooth waves, `(2, 3, 48, 64)` in [0, 1]."""
    rows, columns = torch.meshgrid(
        *(torch.linspace(0, math.tau, side, device=device) for side in (48, 64)), indexing="ij"
    )
    waves = [
        torch.sin(turns * rows + phase) * torch.cos((turns + 1) * columns - phase)
        for turns, phase in ((1, 0), (2, 1), (3, 2), (2, 3), (4, 4), (1, 5))
    ]
    return (torch.stack(waves).view(2, 3, 48, 64) + 1) / 2
