"""Loss networks: named taps on fixed, pretrained convolutional nets (section 3.2 of the paper).

A tap is a layer whose activations a loss compares. It is written `relu2_2`, `relu2_2/2` for the same layer on the
picture average-pooled by 2, and `vgg19-distilled:relu4_1` where several networks are in use; `=0.5` behind it is its
weight in the loss. Networks are built only as deep as their deepest tap, so a file that ends there is enough.
"""

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import NamedTuple, Self

import safetensors.torch
import torch
import torch.nn.functional as F
from pydantic import JsonValue
from safetensors import SafetensorError
from torch import Tensor, nn

from trainer.errors import BadLossNetwork, TooShallow
from trainer.objectives.frozen_convolution import FrozenConvolution

_CAFFE_MEAN = (103.939, 116.779, 123.68)
_IMAGENET_MEAN, _IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_VGG16_BLOCKS, _VGG19_BLOCKS = (2, 2, 3, 3, 3), (2, 2, 4, 4, 4)


class Tap(NamedTuple):
    """One layer of a loss network at one scale of the picture."""

    network: str
    """Layout of the network, as in `vgg16`."""
    layer: str
    """Name of the layer, as in `relu2_2`."""
    scale: int
    """Factor by which the picture is average-pooled first; 1 for none."""

    @classmethod
    def parse(cls, text: str, default_network: str) -> Self:
        """Parse a tap of the form `[network:]relu<block>_<conv>[/scale]`.

        Raises:
            BadLossNetwork: The text is not of that form.
        """
        match = re.fullmatch(r"(?:([a-z0-9-]+):)?(relu[1-5]_[1-4])(?:/([1-9][0-9]?))?", text)
        if match is None:
            raise BadLossNetwork(f"{text!r} is not a tap: write for example relu2_1, relu2_1/2 or vgg16:relu2_2")
        network, layer, scale = match.groups()
        return cls(network or default_network, layer, int(scale or 1))

    def __str__(self) -> str:
        return f"{self.network}:{self.layer}" + (f"/{self.scale}" if self.scale > 1 else "")


class LossNetwork(nn.Module):
    """One or several networks whose activations at some taps are read; it has no trainable parameters.

    Args:
        networks: Networks keyed by the names that taps use.
        taps: Taps whose activations `forward` returns.

    Raises:
        BadLossNetwork: A tap is on a network or layer that does not exist.
    """

    def __init__(self, networks: Mapping[str, "VGG | DistilledVGG19"], taps: Iterable[Tap]) -> None:
        super().__init__()
        self.taps = tuple(dict.fromkeys(taps))
        for tap in self.taps:
            if tap.network not in networks:
                raise BadLossNetwork(f"tap {tap} is on a network that was not given; given: {', '.join(networks)}")
            layers = networks[tap.network].layers
            if tap.layer not in layers:
                raise BadLossNetwork(f"there is no {tap.layer} in {tap.network}; it has {', '.join(layers)}")
        self.networks = nn.ModuleDict(networks)
        self.requires_grad_(requires_grad=False).eval()

    @property
    def device(self) -> torch.device:
        """Return the device that the network is on, and that pictures must be on."""
        return next(self.parameters()).device

    def forward(self, pictures: Tensor, taps: Iterable[Tap] | None = None) -> dict[Tap, Tensor]:
        """Return the activations of pictures, `(N, C, H', W')` for each tap.

        Args:
            pictures: Float RGB in [0, 1], `(N, 3, H, W)`, on the network's device.
            taps: Some of `self.taps`; all of them if not given.
        """
        layers_at: dict[tuple[str, int], list[str]] = {}
        for tap in self.taps if taps is None else taps:
            layers_at.setdefault((tap.network, tap.scale), []).append(tap.layer)
        features = {}
        for (network, scale), layers in layers_at.items():
            pooled = F.avg_pool2d(pictures, scale) if scale > 1 else pictures
            activations = self.networks[network](pooled, layers)
            features.update({Tap(network, layer, scale): activations[layer] for layer in layers})
        return features


class VGG(nn.Module):
    """VGG-16 or VGG-19 (Simonyan and Zisserman 2014) down to one layer, with ReLU, zero padding and max pooling.

    Args:
        blocks: Number of convolutions in each block.
        deepest: Last layer that is built, as in `relu3_1`.
        prepare: Module that turns RGB in [0, 1] into the input that the weights were trained on.

    Raises:
        BadLossNetwork: The network has no such layer.
    """

    layers: tuple[str, ...]
    """Names of the layers that can be tapped."""

    def __init__(self, blocks: Sequence[int], deepest: str, prepare: nn.Module) -> None:
        super().__init__()
        names = [f"relu{block}_{conv}" for block, convs in enumerate(blocks, 1) for conv in range(1, convs + 1)]
        if deepest not in names:
            raise BadLossNetwork(f"there is no {deepest} in this network; it has {', '.join(names)}")
        self.layers = tuple(names[: names.index(deepest) + 1])
        self.conv0 = prepare  # the name that files of weights have for the layer that prepares the picture
        self.features = nn.ModuleDict()
        self._names: dict[str, str] = {}
        index, channels = 0, 3
        for name in self.layers:
            block = int(name[4])
            if index and name.endswith("_1"):
                self.features[str(index)] = nn.MaxPool2d(2)
                index += 1
            width = min(64 * 2 ** (block - 1), 512)
            self.features[str(index)] = FrozenConvolution(channels, width)
            self.features[str(index + 1)] = nn.ReLU()
            self._names[str(index + 1)] = name
            index, channels = index + 2, width

    def forward(self, pictures: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Return the activations of some layers for RGB pictures in [0, 1], `(N, 3, H, W)`, keyed by layer."""
        wanted, activations = set(layers), {}
        features = self.conv0(pictures)
        for index, layer in self.features.items():
            features = layer(features)
            name = self._names.get(index)
            if name in wanted:
                activations[name] = features
                if len(activations) == len(wanted):
                    break
        return activations


class DistilledVGG19(nn.Module):
    """VGG-19 made 16 times smaller by collaborative distillation (Wang et al. 2020).

    A 1×1 convolution behind the first convolution of each block maps to VGG-19's width, so that its ReLU stands in for
    `relu1_1` to `relu5_1` of the normalised VGG-19; only these can be tapped. Padding is by reflection, as its authors
    do it.

    Args:
        deepest: Last layer that is built, as in `relu3_1`.

    Raises:
        BadLossNetwork: The layer is not one of the five.
    """

    layers: tuple[str, ...]
    """Names of the layers that can be tapped."""

    def __init__(self, deepest: str) -> None:
        super().__init__()
        layers = [f"relu{block}_1" for block in range(1, 6)]
        if deepest not in layers:
            raise BadLossNetwork(f"the distilled network cannot be tapped at {deepest}; it has {', '.join(layers)}")
        self.layers = tuple(layers[: layers.index(deepest) + 1])
        self.conv0 = nn.Conv2d(3, 3, 1)
        self._convs: list[str] = []
        channels = 3
        for block, convs in enumerate(_VGG19_BLOCKS[: int(deepest[4])], 1):
            width = min(16 * 2 ** (block - 1), 128)
            is_last_block = block == int(deepest[4])
            for conv in range(1, 2 if is_last_block else convs + 1):
                self._convs.append(f"{block}{conv}")
                self.add_module(f"conv{block}{conv}", nn.Conv2d(channels, width, 3, padding=1, padding_mode="reflect"))
                channels = width
            self.add_module(f"conv{block}1_aux", nn.Conv2d(width, min(64 * 2 ** (block - 1), 512), 1))

    def forward(self, pictures: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Return the activations of some layers for RGB pictures in [0, 1], `(N, 3, H, W)`, keyed by layer."""
        wanted, activations = set(layers), {}
        features = self.conv0(pictures)
        for conv in self._convs:
            if conv.endswith("1") and conv != "11":
                features = F.max_pool2d(features, 2)
            features = F.relu(self.get_submodule(f"conv{conv}")(features))
            name = f"relu{conv[0]}_{conv[1]}"
            if name in wanted:
                activations[name] = F.relu(self.get_submodule(f"conv{conv}_aux")(features))
                if len(activations) == len(wanted):
                    break
        return activations


class _Scale(nn.Module):
    """A layer that reverses RGB to BGR if asked to, then computes `(pictures - mean) / deviation` for each channel."""

    def __init__(self, mean: Sequence[float], deviation: Sequence[float], *, reverse: bool) -> None:
        super().__init__()
        self.reverse = reverse
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation).view(3, 1, 1), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        pictures = pictures.flip(1) if self.reverse else pictures
        return (pictures - self.get_buffer("mean")) / self.get_buffer("deviation")


def _imagenet() -> nn.Module:
    return _Scale(_IMAGENET_MEAN, _IMAGENET_DEVIATION, reverse=False)


def _caffe() -> nn.Module:
    return _Scale([mean / 255 for mean in _CAFFE_MEAN], [1 / 255] * 3, reverse=True)


def _first_convolution() -> nn.Module:
    return nn.Conv2d(3, 3, 1)


@dataclass(frozen=True)
class _Layout:
    """A way to lay out the weights of a loss network."""

    build: Callable[[str], "VGG | DistilledVGG19"]
    """Function that builds the network down to a layer."""
    torchvision: str | None = None
    """Name of the model in torchvision whose default weights fit, if there is one."""


LAYOUTS: dict[str, _Layout] = {
    "vgg16": _Layout(lambda deepest: VGG(_VGG16_BLOCKS, deepest, _imagenet()), "vgg16"),
    "vgg19": _Layout(lambda deepest: VGG(_VGG19_BLOCKS, deepest, _imagenet()), "vgg19"),
    "vgg16-caffe": _Layout(lambda deepest: VGG(_VGG16_BLOCKS, deepest, _caffe())),
    "vgg19-caffe": _Layout(lambda deepest: VGG(_VGG19_BLOCKS, deepest, _caffe())),
    "vgg19-normalised": _Layout(lambda deepest: VGG(_VGG19_BLOCKS, deepest, _first_convolution())),
    "vgg19-distilled": _Layout(DistilledVGG19),
}
"""Layouts of weights, keyed by name. `vgg16` and `vgg19` are torchvision's (RGB, ImageNet mean and deviation); those
with `-caffe` are the original ones (BGR, 0..255 minus the mean); those with `-normalised` have activations of mean 1
(Gatys et al. 2016) and a first layer `conv0` that prepares the picture; `-distilled` is `DistilledVGG19`."""


def load_loss_network(sources: Sequence[str], taps: Iterable[str]) -> LossNetwork:
    """Build the networks that taps need and load their weights.

    Args:
        sources: Sources of the weights: `vgg16` or `vgg19` for torchvision's, which are downloaded once, or
            `LAYOUT:FILE` for a safetensors file, as in `vgg19-normalised:weights/vgg19.safetensors`.
        taps: Taps in the form that the docstring of this module describes; one without a network is on the first
            source.

    Raises:
        BadLossNetwork: A layout is unknown, is given twice or has no tap; a file is missing or its weights have other
            shapes; or a tap is not valid.
    """
    files = dict(_parse_source(source) for source in sources)
    parsed = list(dict.fromkeys(tap for text in taps for tap in parse_taps([text], sources)))
    if len(files) < len(sources):
        raise BadLossNetwork("a layout is given twice among the loss networks: give each once")
    untapped = [layout for layout in files if layout not in {tap.network for tap in parsed}]
    if untapped:
        raise BadLossNetwork(
            f"no tap is on {untapped[0]}: write one as {untapped[0]}:relu1_1, or leave the network out"
        )
    networks = {
        layout: _load_network(layout, file, deepest=max(tap.layer for tap in parsed if tap.network == layout))
        for layout, file in files.items()
    }
    return LossNetwork(networks, parsed)


def parse_taps(taps: Iterable[str], sources: Sequence[str]) -> list[Tap]:
    """Parse taps; one that names no network is on the first source.

    Raises:
        BadLossNetwork: A tap is not of the form that the docstring of this module describes, or is given twice.
    """
    return list(weigh_taps(taps, sources))


def weigh_taps(taps: Iterable[str], sources: Sequence[str]) -> dict[Tap, float]:
    """Parse taps with their weights; the weight of a tap is 1 where none is written.

    Raises:
        BadLossNetwork: A tap is not of the form that the docstring of this module describes, is given twice, or has a
            weight that is not a number above 0.
    """
    default = sources[0].partition(":")[0]
    weighed: dict[Tap, float] = {}
    for text in taps:
        name, _, weight = text.partition("=")
        tap = Tap.parse(name, default)
        if tap in weighed:
            raise BadLossNetwork(f"tap {tap} is given twice: give it once, with a weight as in {tap.layer}=2")
        weighed[tap] = _weight(text, weight)
    return weighed


def check_side(taps: Iterable[Tap], side: int) -> None:
    """Make sure that pictures with a side, in pixels, have at least one position at each tap.

    Raises:
        BadLossNetwork: A tap is too deep or its scale is too small for such pictures.
    """
    for tap in taps:
        if side // tap.scale < 2 ** (int(tap.layer[4]) - 1):
            raise BadLossNetwork(
                f"nothing is left of pictures of {side} pixels at {tap}: leave it out or use larger ones"
            )


def fingerprints(sources: Sequence[str]) -> list[JsonValue]:
    """Return a text for each loss network that identifies it: its layout, and the SHA-256 of its file if it has one.

    Raises:
        BadLossNetwork: A layout is unknown, or needs a file and has none.
    """
    parsed = (_parse_source(source) for source in sources)
    return [f"{layout} {hashlib.sha256(file.read_bytes()).hexdigest()}" if file else layout for layout, file in parsed]


def _weight(tap: str, text: str) -> float:
    try:
        weight = float(text or 1)
    except ValueError:
        weight = math.nan
    if not 0 < weight < math.inf:
        raise BadLossNetwork(f"{tap!r}: the weight of a tap is a number above 0, as in relu2_1=0.5")
    return weight


def _parse_source(source: str) -> tuple[str, Path | None]:
    layout, _, file = source.partition(":")
    if layout not in LAYOUTS:
        raise BadLossNetwork(f"{source!r}: there is no layout {layout!r}; known: {', '.join(LAYOUTS)}")
    if not file and LAYOUTS[layout].torchvision is None:
        raise BadLossNetwork(f"{layout} needs a file of weights: write {layout}:path/to/weights.safetensors")
    return layout, Path(file) if file else None


def _load_network(layout: str, file: Path | None, deepest: str) -> "VGG | DistilledVGG19":
    network = LAYOUTS[layout].build(deepest)
    try:
        weights = (
            safetensors.torch.load(file.read_bytes()) if file else _torchvision_weights(LAYOUTS[layout].torchvision)
        )
    except (OSError, SafetensorError, RuntimeError, UnpicklingError) as error:
        hint = "" if file else f"; without a network, give a file: {layout}:path/to/weights.safetensors"
        raise BadLossNetwork(f"cannot read the weights of {layout}: {error}{hint}") from error
    for key, parameter in network.state_dict().items():
        if key not in weights:
            raise TooShallow(f"{file or layout} ends before {deepest}: it has no {key}")
        if weights[key].shape != parameter.shape:
            found, wanted = tuple(weights[key].shape), tuple(parameter.shape)
            raise BadLossNetwork(f"{file or layout} is not {layout}: {key} is {found}, not {wanted}")
    network.load_state_dict({key: weights[key] for key in network.state_dict()})
    return network


def _torchvision_weights(name: str | None) -> dict[str, Tensor]:
    from torchvision.models import get_model_weights  # noqa: PLC0415  (slow to import, and not needed for files)

    weights: dict[str, Tensor] = get_model_weights(name).DEFAULT.get_state_dict(
        progress=True, check_hash=True, weights_only=True
    )
    return weights
