"""The form of a net for CUDA, if it does there what the net does."""

import copy
import logging
import math
from collections.abc import Callable

import torch
from torch import Tensor

from model_store.nets import SRCNN, StyleNet, SuperResolutionNet, TransformNet
from service.inference.cuda.bfloat16_net import Bfloat16Net
from service.inference.cuda.graphs import GraphedNet
from service.inference.super_resolution_net import FoldedSuperResolutionNet

_log = logging.getLogger(__name__)

_MOST_ROUNDING = (0.5, 8.0)
"""Of the mean and of the largest difference in half precision, in 255ths. Those of the bundled nets are a quarter of it
at most; where something is broken they are many times as large."""
_MOST_EXACT_ROUNDING = (0.25, 4.0)
"""The same in float32, of which CUDA rounds the factors of convolutions."""


def form_for_cuda(net: TransformNet, device: torch.device, *, is_exact: bool) -> TransformNet:
    """A net as this device should run it: folded, fused, in half precision, as CUDA graphs.

    Where a form cannot be made, or makes something else of a small picture, the log says why and the net runs as it is.

    Args:
        net: on the device, in float32; may be changed.
        device: of CUDA.
        is_exact: whether to compute in float32, as is done anyway on devices before Ampere.

    Raises:
        torch.OutOfMemoryError: there is not enough memory on the device.
    """
    is_exact = is_exact or torch.cuda.get_device_capability(device) < (8, 0)

    def make(net: TransformNet) -> TransformNet:
        # On the CPU, because what CUDA folds with is rounded.
        return rearranged(copy.deepcopy(net).cpu(), is_exact=is_exact).to(device)

    form = checked(net, make, *(_MOST_EXACT_ROUNDING if is_exact else _MOST_ROUNDING))
    torch.cuda.current_stream(device).synchronize()  # lanes have streams of their own
    return GraphedNet(form)


def rearranged(net: TransformNet, *, is_exact: bool) -> TransformNet:
    """The form itself.

    Args:
        net: in float32; may be changed.
        is_exact: whether to compute in float32; else in float16 or bfloat16, where that is sound.

    Raises:
        ImportError: triton is missing.
    """
    if isinstance(net, StyleNet):
        from service.inference.cuda.style_net import CudaStyleNet  # noqa: PLC0415  (needs triton)

        return CudaStyleNet(net, torch.float32 if is_exact else torch.float16)
    if isinstance(net, SuperResolutionNet):
        net = FoldedSuperResolutionNet(net)
    # What SRCNN computes is the picture itself, not what is added to one.
    return net if is_exact or isinstance(net, SRCNN) else Bfloat16Net(net)


def checked(
    net: TransformNet, make: Callable[[TransformNet], TransformNet], most_mean: float, most: float
) -> TransformNet:
    """A form of a net, or the net itself where that cannot be made or does something else.

    Args:
        net: in float32; should be as it was after `make`.
        make: makes the form, on the device of the net.
        most_mean: how far the form may differ from the net in the mean, in 255ths.
        most: and at most.

    Raises:
        torch.OutOfMemoryError: there is not enough memory on the device.
    """
    try:
        form = make(net)
        reason = _difference(net, form, most_mean, most)
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
def _difference(net: TransformNet, form: TransformNet, most_mean: float, most: float) -> str | None:
    """What the form does wrong with small pictures, if anything."""
    pictures = _waves(next(net.parameters()).device)
    wanted, found = net(pictures), form(pictures)
    if found.shape != wanted.shape:
        return f"it makes {tuple(found.shape)} of {tuple(pictures.shape)}, not {tuple(wanted.shape)}"
    differences = (found - wanted).abs().mul_(255)
    mean, largest = differences.mean().item(), differences.max().item()
    if mean <= most_mean and largest <= most:  # neither if they are not numbers
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
