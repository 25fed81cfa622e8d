"""The form of a net for CUDA, which is used only if its results are those of the net."""

import copy
import logging
import math
from collections.abc import Callable

import torch
from torch import Tensor

from model_store.nets import SRCNN, StyleNet, SuperResolutionNet, TransformNet
from service.device.failures import answers, first_line, is_out_of_memory
from service.inference.cuda.awaited_form import AwaitedForm
from service.inference.cuda.bfloat16_net import Bfloat16Net
from service.inference.cuda.graphs import GraphedNet
from service.inference.super_resolution_net import FoldedSuperResolutionNet

_log = logging.getLogger(__name__)

_VOLTA, _AMPERE = (7, 0), (8, 0)
"""Compute capabilities of the first devices that are faster in float16, and of the first that have bfloat16."""
_MOST_ROUNDING = (0.5, 8.0)
"""Limits of the mean and of the largest difference between a form in half precision and its net, in 255ths. Those of
the bundled nets are a quarter of these at most, and those of broken forms many times as large."""
_MOST_FLOAT32_ROUNDING = (0.25, 4.0)
"""The same limits in float32, where CUDA may round the factors of convolutions."""


class WrongForm(Exception):
    """A form makes something else of a picture than its net does, and always will."""


def form_for_cuda(net: TransformNet, device: torch.device, *, is_exact: bool) -> TransformNet:
    """Return the form in which a device should run a net: folded, fused, in half precision, as CUDA graphs.

    If the form cannot be made, or makes something else of small pictures than the net does, the log says why and the
    net runs as it is: for ever if the form is wrong or Triton is missing, and otherwise until the form can be made.

    Args:
        net: Net on the device, in float32; it may be changed.
        device: CUDA device.
        is_exact: Whether to compute in float32; no convolution of this process then rounds its factors (to TF32).

    Raises:
        Exception: There is not enough memory, or the device is lost; see `service.device.failures`.
    """
    if is_exact:
        torch.backends.cudnn.allow_tf32 = False
    dtype = torch.float32 if is_exact else fastest_dtype(net, torch.cuda.get_device_capability(device))
    limits = _MOST_FLOAT32_ROUNDING if dtype == torch.float32 else _MOST_ROUNDING

    def make() -> TransformNet:
        # Folded on the CPU, because CUDA may round the factors of what it folds.
        form = checked(net, lambda net: rearranged(copy.deepcopy(net).cpu(), dtype).to(device), *limits)
        torch.cuda.current_stream(device).synchronize()  # because lanes have streams of their own
        return GraphedNet(form)

    form = form_or_net(net, make)
    torch.cuda.current_stream(device).synchronize()  # also for a net that runs as it is, whose layout was just changed
    return form


def fastest_dtype(net: TransformNet, capability: tuple[int, int]) -> torch.dtype:
    """Return the data type of features and kernels in which a net is fastest, of those that are precise enough for it.

    Args:
        net: Net of any architecture.
        capability: Compute capability of the device, as in (8, 6).
    """
    if isinstance(net, StyleNet):  # its form keeps statistics and the flat colour in float32
        return torch.float16 if capability >= _VOLTA else torch.float32
    if isinstance(net, SRCNN):  # it computes the picture itself, not what is added to one
        return torch.float32
    return torch.bfloat16 if capability >= _AMPERE else torch.float32


def rearranged(net: TransformNet, dtype: torch.dtype) -> TransformNet:
    """Return a net rearranged for CUDA, without checks and graphs.

    Args:
        net: Net in float32; it may be changed.
        dtype: Data type of features and kernels: float32, or what `fastest_dtype` returned.

    Raises:
        ImportError: Triton is missing.
    """
    if isinstance(net, StyleNet):
        from service.inference.cuda.style_net import CudaStyleNet  # noqa: PLC0415  (needs triton)

        return CudaStyleNet(net, dtype)
    if isinstance(net, SuperResolutionNet):
        net = FoldedSuperResolutionNet(net)
    return net if dtype == torch.float32 else Bfloat16Net(net)


def form_or_net(net: TransformNet, make: Callable[[], TransformNet]) -> TransformNet:
    """Return the form that `make` makes, or the net as it is if that fails, and log why.

    Args:
        net: Net on a device, in float32; it may be changed.
        make: Function that makes the form of the net, and leaves the net as it was.

    Raises:
        Exception: There is not enough memory, or the device is lost.
    """
    try:
        return make()
    except (WrongForm, ImportError) as error:
        reason, passes = str(error), False
    except Exception as error:
        if is_out_of_memory(error) or not answers(_device_of(net)):
            raise
        reason, passes = f"{type(error).__name__}: {first_line(error)}", True
    _log.warning(
        "%s runs in float32 as it is, which takes longer, because its fast form fails: %s", type(net).__name__, reason
    )
    plain = GraphedNet(net.to(memory_format=torch.channels_last))
    return AwaitedForm(plain, make) if passes else plain


def checked(
    net: TransformNet, make: Callable[[TransformNet], TransformNet], most_mean: float, most: float
) -> TransformNet:
    """Return the form of a net, if it makes of small pictures what the net makes.

    Args:
        net: Net in float32, which `make` must leave as it was.
        make: Function that makes the form, on the device of the net.
        most_mean: Largest mean difference between the results of the form and of the net, in 255ths.
        most: Largest difference of a single value, in 255ths.

    Raises:
        WrongForm: The results differ by more.
        Exception: `make`, the net or the form failed; the error is the one that it raised.
    """
    form = make(net)
    reason = _difference(net, form, most_mean, most)
    if reason is not None:
        raise WrongForm(reason)
    return form


@torch.inference_mode()
def _difference(net: TransformNet, form: TransformNet, most_mean: float, most: float) -> str | None:
    """Return how a form's results for small pictures differ too much from its net's, or None if they do not."""
    pictures = _waves(_device_of(net))
    wanted, found = net(pictures), form(pictures)
    if found.shape != wanted.shape:
        return f"it makes {tuple(found.shape)} of {tuple(pictures.shape)}, not {tuple(wanted.shape)}"
    differences = (found - wanted).abs().mul_(255)
    mean, largest = differences.mean().item(), differences.max().item()
    if mean <= most_mean and largest <= most:  # both are false for NaN
        return None
    return f"it differs by {mean:.3g}/255 in the mean and by {largest:.3g}/255 at most"


def _device_of(net: TransformNet) -> torch.device:
    return next(net.parameters()).device


def _waves(device: torch.device) -> Tensor:
    """Return two pictures of smooth waves, `(2, 3, 48, 64)` in [0, 1]."""
    rows, columns = torch.meshgrid(
        *(torch.linspace(0, math.tau, side, device=device) for side in (48, 64)), indexing="ij"
    )
    waves = [
        torch.sin(turns * rows + phase) * torch.cos((turns + 1) * columns - phase)
        for turns, phase in ((1, 0), (2, 1), (3, 2), (2, 3), (4, 4), (1, 5))
    ]
    return (torch.stack(waves).view(2, 3, 48, 64) + 1) / 2
