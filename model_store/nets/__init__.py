"""The transform nets, and the names by which cards call their architectures."""

from collections.abc import Mapping

from pydantic import JsonValue

from model_store.errors import UnknownArchitecture
from model_store.nets.basicsr import EDSR, SRResNet
from model_store.nets.johnson2016 import Johnson2016StyleNet, Johnson2016SuperResolutionNet
from model_store.nets.light_style_net import LightStyleNet
from model_store.nets.self_ensemble import SelfEnsemble
from model_store.nets.srcnn import SRCNN
from model_store.nets.style_net import FastNeuralStyleNet, StyleNet
from model_store.nets.super_resolution_net import SuperResolutionNet
from model_store.nets.transform_net import TransformNet, pad_to_multiple

__all__ = [
    "ARCHITECTURES",
    "EDSR",
    "SRCNN",
    "FastNeuralStyleNet",
    "Johnson2016StyleNet",
    "Johnson2016SuperResolutionNet",
    "LightStyleNet",
    "SRResNet",
    "SelfEnsemble",
    "StyleNet",
    "SuperResolutionNet",
    "TransformNet",
    "build",
    "pad_to_multiple",
]

ARCHITECTURES: dict[str, type[TransformNet]] = {
    "style-net": StyleNet,
    "light-style-net": LightStyleNet,
    "johnson2016": Johnson2016StyleNet,
    "super-resolution-net": SuperResolutionNet,
    "johnson2016-super-resolution": Johnson2016SuperResolutionNet,
    "srcnn": SRCNN,
    "fast-neural-style": FastNeuralStyleNet,
    "edsr": EDSR,
    "srresnet": SRResNet,
}
"""The classes of nets by their names in cards."""


def build(architecture: str, parameters: Mapping[str, JsonValue]) -> TransformNet:
    """Make an untrained net.

    Args:
        architecture: The name of the net's class in `ARCHITECTURES`.
        parameters: The arguments of the class by name.

    Raises:
        UnknownArchitecture: There is no such architecture, or it cannot be built with these parameters.
    """
    if architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise UnknownArchitecture(f"there is no architecture {architecture!r}; known: {known}")
    try:
        return ARCHITECTURES[architecture](**parameters)
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise UnknownArchitecture(f"cannot build {architecture}: {error}") from error
