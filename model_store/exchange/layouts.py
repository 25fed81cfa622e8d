"""The layouts of weights that are recognised by their keys and shapes, and what each becomes here."""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from pydantic import JsonValue
from torch import Tensor

from model_store.errors import CannotImport

_Weights = Mapping[str, Tensor]

_SHOWN = 6
"""Number of keys that an error shows of a layout that is not known."""
_CHANNELS_OF_THE_LARGE_EDSR = 256
"""Number of channels of the paper's large net, which alone scales its branches."""
_UNUSED = {"running_mean", "running_var", "num_batches_tracked"}
"""Last parts of the keys of statistics, which the first files of PyTorch's example have and no net uses."""


class Recognised(NamedTuple):
    """Weights as a net of this project has them."""

    layout: str
    """Name of the layout, for people."""
    architecture: str
    """Name of the net's class in `model_store.nets.ARCHITECTURES`."""
    parameters: dict[str, JsonValue]
    weights: dict[str, Tensor]


class _Layout(NamedTuple):
    """Weights that are recognised by one of their keys."""

    key: str
    """A key that no other layout has."""
    name: str
    architecture: str
    parameters: Callable[[_Weights], dict[str, JsonValue]]
    """Function that tells the arguments of the net's class by the keys and shapes."""
    convert: Callable[[_Weights], dict[str, Tensor]] = dict
    """Function that names and scales the weights as the net's class does."""


def recognise(weights: _Weights) -> Recognised:
    """Tell what net has weights like these.

    Args:
        weights: Tensors by their keys, from `read_weights`.

    Raises:
        CannotImport: No layout has such keys; the message shows what was found.
    """
    for layout in _LAYOUTS:
        if layout.key in weights:
            return Recognised(layout.name, layout.architecture, layout.parameters(weights), layout.convert(weights))
    found = ", ".join(f"{key} {tuple(tensor.shape)}" for key, tensor in list(weights.items())[:_SHOWN])
    more = f" and {len(weights) - _SHOWN} more" if len(weights) > _SHOWN else ""
    raise CannotImport(
        f"no net that impasto knows has such weights: {found}{more}; it knows fast_neural_style of PyTorch's examples, "
        "EDSR and SRResNet of BasicSR, and the nets of impasto"
    )


def _of_a_style(first: str, blocks: str) -> Callable[[_Weights], dict[str, JsonValue]]:
    """Return a function that tells the arguments of a style net, by its first layer and the keys of its blocks."""
    return lambda weights: {"width": weights[first].shape[0], "residual_blocks": _count(weights, blocks)}


def _of_an_enlargement(first: str, steps: str) -> Callable[[_Weights], dict[str, JsonValue]]:
    """Return a function that tells the arguments of a net that enlarges by 2 in each of some steps."""
    return lambda weights: {
        "factor": 2 ** _count(weights, steps),
        "channels": weights[first].shape[0],
        "residual_blocks": _count(weights, r"body\.(\d+)\."),
    }


def _of_edsr(weights: _Weights) -> dict[str, JsonValue]:
    parameters = _of_an_enlargement("conv_first.weight", r"upsample\.(\d+)\.weight")(weights)
    return parameters | {"residual_scale": 0.1 if parameters["channels"] == _CHANNELS_OF_THE_LARGE_EDSR else 1.0}


def _count(weights: _Weights, pattern: str) -> int:
    """Return how many different numbers the keys have at a place."""
    return len({match[1] for key in weights if (match := re.match(pattern, key))})


def _from_fast_neural_style(weights: _Weights) -> dict[str, Tensor]:
    """Convert the weights of PyTorch's example, which takes and makes pixels from 0 to 255.

    Its first files also have the running statistics of InstanceNorm, which were never used.
    """
    names = {"conv1.conv2d": "encoder.0", "in1": "encoder.1", "conv2.conv2d": "encoder.3", "in2": "encoder.4"}
    names |= {"conv3.conv2d": "encoder.6", "in3": "encoder.7"}
    for block in range(_count(weights, r"res(\d+)\.")):
        parts = {"conv1.conv2d": 0, "in1": 1, "conv2.conv2d": 3, "in2": 4}
        names |= {f"res{block + 1}.{key}": f"residuals.{block}.branch.{place}" for key, place in parts.items()}
    names |= {"deconv1.conv2d": "decoder.1", "in4": "decoder.2", "deconv2.conv2d": "decoder.5", "in5": "decoder.6"}
    names |= {"deconv3.conv2d": "decoder.8"}
    renamed = {}
    for key, tensor in weights.items():
        layer, _, kind = key.rpartition(".")
        if kind not in _UNUSED:
            renamed[f"{names.get(layer, layer)}.{kind}"] = tensor.clone()
    # Pixels in [0, 1] become those of the first layer, which has 2·x - 1, and the last layer makes pixels in [0, 1].
    renamed["encoder.0.bias"] += renamed["encoder.0.weight"].sum((1, 2, 3)) * 127.5
    renamed["encoder.0.weight"] *= 127.5
    renamed["decoder.8.weight"] /= 255
    renamed["decoder.8.bias"] /= 255
    return renamed


_LAYOUTS = (
    _Layout(
        "conv1.conv2d.weight",
        "fast_neural_style of PyTorch's examples",
        "fast-neural-style",
        _of_a_style("conv1.conv2d.weight", r"res(\d+)\."),
        _from_fast_neural_style,
    ),
    _Layout("conv_after_body.weight", "EDSR of BasicSR", "edsr", _of_edsr),
    _Layout(
        "upconv1.weight",
        "SRResNet of BasicSR",
        "srresnet",
        _of_an_enlargement("conv_first.weight", r"upconv(\d+)\.weight"),
    ),
    _Layout(
        "residuals.0.branch.0.weight",
        "style net of impasto",
        "style-net",
        _of_a_style("encoder.0.weight", r"residuals\.(\d+)\."),
    ),
    _Layout(
        "tail.weight",
        "super-resolution net of impasto",
        "super-resolution-net",
        _of_an_enlargement("head.weight", r"upsample\.(\d+)\.weight"),
    ),
)
"""All layouts that are known."""
