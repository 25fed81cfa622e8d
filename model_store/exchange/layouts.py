"""The layouts of weights that are recognised by their keys and shapes, and what each becomes here."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from pydantic import JsonValue
from torch import Tensor

from model_store.errors import CannotImport

_Weights = Mapping[str, Tensor]

_SHOWN = 6
"""Number of keys that an error shows of a layout that is not known."""


class Recognised(NamedTuple):
    """Weights as a net of this project has them."""

    layout: str
    """Name of the layout, for people."""
    architecture: str
    """Name of the net's class in `model_store.nets.ARCHITECTURES`."""
    parameters: dict[str, JsonValue]
    weights: dict[str, Tensor]


def recognise(weights: _Weights) -> Recognised:
    """Tell what net has weights like these.

    Args:
        weights: Tensors by their keys, from `read_weights`.

    Raises:
        CannotImport: No layout has such keys; the message shows what was found.
    """
    for key, layout in _LAYOUTS:
        if key in weights:
            return layout(weights)
    found = ", ".join(f"{key} {tuple(tensor.shape)}" for key, tensor in list(weights.items())[:_SHOWN])
    more = f" and {len(weights) - _SHOWN} more" if len(weights) > _SHOWN else ""
    raise CannotImport(
        f"no net that impasto knows has such weights: {found}{more}; it knows fast_neural_style of PyTorch's examples, "
        "EDSR and SRResNet of BasicSR, and the nets of impasto"
    )


def _fast_neural_style(weights: _Weights) -> Recognised:
    """Recognise PyTorch's example, which takes and makes pixels from 0 to 255.

    Its first files also have the running statistics of InstanceNorm, which were never used.
    """
    width, blocks = weights["conv1.conv2d.weight"].shape[0], _count(weights, r"res(\d+)\.")
    names = {"conv1.conv2d": "encoder.0", "in1": "encoder.1", "conv2.conv2d": "encoder.3", "in2": "encoder.4"}
    names |= {"conv3.conv2d": "encoder.6", "in3": "encoder.7"}
    for block in range(blocks):
        parts = {"conv1.conv2d": 0, "in1": 1, "conv2.conv2d": 3, "in2": 4}
        names |= {f"res{block + 1}.{key}": f"residuals.{block}.branch.{place}" for key, place in parts.items()}
    names |= {"deconv1.conv2d": "decoder.1", "in4": "decoder.2", "deconv2.conv2d": "decoder.5", "in5": "decoder.6"}
    names |= {"deconv3.conv2d": "decoder.8"}
    unused = re.compile(r"\.(running_mean|running_var|num_batches_tracked)$")
    renamed = {
        f"{names.get(key.rpartition('.')[0], key.rpartition('.')[0])}.{key.rpartition('.')[2]}": tensor.clone()
        for key, tensor in weights.items()
        if not unused.search(key)
    }
    # Pixels in [0, 1] become those of the first layer, which has 2·x - 1, and the last layer makes pixels in [0, 1].
    renamed["encoder.0.bias"] += renamed["encoder.0.weight"].sum((1, 2, 3)) * 127.5
    renamed["encoder.0.weight"] *= 127.5
    renamed["decoder.8.weight"] /= 255
    renamed["decoder.8.bias"] /= 255
    return Recognised(
        "fast_neural_style of PyTorch's examples",
        "fast-neural-style",
        {"width": width, "residual_blocks": blocks},
        renamed,
    )


def _edsr(weights: _Weights) -> Recognised:
    return Recognised(
        "EDSR of BasicSR",
        "edsr",
        {
            "factor": 2 ** _count(weights, r"upsample\.(\d+)\.weight"),
            "channels": weights["conv_first.weight"].shape[0],
            "residual_blocks": _count(weights, r"body\.(\d+)\."),
            # The paper's large net, and it alone, has 256 channels and scales its branches.
            "residual_scale": 0.1 if weights["conv_first.weight"].shape[0] == 256 else 1.0,
        },
        dict(weights),
    )


def _srresnet(weights: _Weights) -> Recognised:
    return Recognised(
        "SRResNet of BasicSR",
        "srresnet",
        {
            "factor": 2 ** _count(weights, r"upconv(\d+)\.weight"),
            "channels": weights["conv_first.weight"].shape[0],
            "residual_blocks": _count(weights, r"body\.(\d+)\."),
        },
        dict(weights),
    )


def _own_style(weights: _Weights) -> Recognised:
    return Recognised(
        "style net of impasto",
        "style-net",
        {"width": weights["encoder.0.weight"].shape[0], "residual_blocks": _count(weights, r"residuals\.(\d+)\.")},
        dict(weights),
    )


def _own_super_resolution(weights: _Weights) -> Recognised:
    return Recognised(
        "super-resolution net of impasto",
        "super-resolution-net",
        {
            "factor": 2 ** _count(weights, r"upsample\.(\d+)\.weight"),
            "channels": weights["head.weight"].shape[0],
            "residual_blocks": _count(weights, r"body\.(\d+)\."),
        },
        dict(weights),
    )


def _count(weights: _Weights, pattern: str) -> int:
    """Return how many different numbers the keys have at a place."""
    return len({match[1] for key in weights if (match := re.match(pattern, key))})


_LAYOUTS: Sequence[tuple[str, Callable[[_Weights], Recognised]]] = (
    ("conv1.conv2d.weight", _fast_neural_style),
    ("conv_after_body.weight", _edsr),
    ("upconv1.weight", _srresnet),
    ("residuals.0.branch.0.weight", _own_style),
    ("tail.weight", _own_super_resolution),
)
"""A key that only this layout has, and the function that recognises it."""
