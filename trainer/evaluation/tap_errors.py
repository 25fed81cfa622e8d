"""Relative errors of pictures: in style from a painting, and in content from their photos, at taps of a loss network.

The paper's own taps of VGG-16 are called deep here, because they are deep enough to see motifs. Where that network is
given, all nets are measured at these taps, whatever they were trained on, so that their figures can be compared.
"""

import statistics
from collections.abc import Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor

from model_store.nets import TransformNet
from trainer.errors import TooShallow
from trainer.objectives.loss_networks import LossNetwork, Tap, load_loss_network, parse_taps
from trainer.objectives.losses import gram_matrix, relative_feature_reconstruction, relative_style_reconstruction
from trainer.recipes import StyleRecipe

DEEP_STYLE_TAPS, DEEP_CONTENT_TAP = ("relu1_2", "relu2_2", "relu3_3", "relu4_3"), "relu2_2"
"""Taps of VGG-16 at which the paper's losses are computed (section 4.1)."""

DEEP_LAYOUTS = ("vgg16-caffe", "vgg16")
"""Layouts of loss networks that have the deep taps."""

_BATCH = 4


class TapErrors(NamedTuple):
    """The relative errors of one picture, or their means over several pictures; each error is a mean over taps."""

    style: float
    """Style error; see `losses.relative_style_reconstruction`."""
    content: float
    """Content error; see `losses.relative_feature_reconstruction`."""

    def is_worse_than(self, other: "TapErrors") -> bool:
        """Return whether both errors are larger than another's."""
        return self.style > other.style and self.content > other.content


class Measured(NamedTuple):
    """The errors of a net, of the photos themselves, and of the net before it, each a mean over the photos."""

    photos: TapErrors
    net: TapErrors
    old: TapErrors | None
    """Errors of the net that was published before; None if there is none."""
    deep_network: str | None
    """Layout of the VGG-16 that the deep taps are on, as in vgg16-caffe; None if the taps are those of the training."""
    data: str
    """Number and size of the photos, in words."""


class TapMeasure:
    """A measure of the errors of pictures at taps of a loss network.

    Args:
        loss_network: Loss network that has at least these taps; pictures are moved to its device.
        style_picture: Float RGB in [0, 1], `(1, 3, H, W)`.
        style_taps: Taps of the style error, at least one.
        content_taps: Taps of the content error, at least one.
    """

    def __init__(
        self, loss_network: LossNetwork, style_picture: Tensor, style_taps: Sequence[Tap], content_taps: Sequence[Tap]
    ) -> None:
        self._network = loss_network
        self.style_taps, self.content_taps = tuple(style_taps), tuple(content_taps)
        with torch.inference_mode():
            features = loss_network(style_picture.to(loss_network.device), self.style_taps)
            self._targets = {tap: gram_matrix(features[tap]) for tap in self.style_taps}

    @classmethod
    def of_training(cls, recipe: StyleRecipe, loss_network: LossNetwork, style_picture: Tensor) -> Self:
        """Return the measure at the taps of a recipe; the other arguments are those of the constructor."""
        taps = (parse_taps(taps, recipe.loss_networks) for taps in (recipe.style_taps, recipe.content_taps))
        return cls(loss_network, style_picture, *taps)

    @torch.inference_mode()
    def errors(self, pictures: Tensor, photos: Tensor) -> list[TapErrors]:
        """Return the errors of each picture against its photo, both float RGB in [0, 1], `(N, 3, H, W)`."""
        pictures, photos = (each.to(self._network.device) for each in (pictures, photos))
        features = self._network(pictures, {*self.style_taps, *self.content_taps})
        wanted = self._network(photos, self.content_taps)
        found = []
        for number in range(len(pictures)):
            one = slice(number, number + 1)
            styles = [
                float(relative_style_reconstruction(gram_matrix(features[tap][one]), target))
                for tap, target in self._targets.items()
            ]
            contents = [
                float(relative_feature_reconstruction(features[tap][one], wanted[tap][one]))
                for tap in self.content_taps
            ]
            found.append(TapErrors(statistics.fmean(styles), statistics.fmean(contents)))
        return found

    @torch.inference_mode()
    def errors_of(self, net: TransformNet | None, photos: Tensor) -> list[TapErrors]:
        """Return the errors of the picture that a net makes of each photo, or of the photo itself.

        Args:
            net: Style net in evaluation mode, on the device of the loss network; None for the photos themselves.
            photos: RGB as uint8, `(N, 3, H, W)`.
        """
        found: list[TapErrors] = []
        for batch in torch.split(photos, _BATCH):
            prepared = batch.to(self._network.device) / 255
            found += self.errors(prepared if net is None else net(prepared), prepared)
        return found


def mean_errors(errors: Sequence[TapErrors]) -> TapErrors:
    """Return the mean errors over pictures.

    Raises:
        ValueError: There are no pictures.
    """
    if not errors:
        raise ValueError("there are no photos to measure on")
    return TapErrors(*(statistics.fmean(values) for values in zip(*errors, strict=True)))


def load_deep_measure(sources: Sequence[str], style_picture: Tensor, device: torch.device) -> TapMeasure | None:
    """Return the measure at the deep taps, or None if no loss network is a VGG-16 that has them.

    Args:
        sources: Sources of the loss networks, as for `load_loss_network`.
        style_picture: Float RGB in [0, 1], `(1, 3, H, W)`.
        device: Device to compute on.

    Raises:
        BadLossNetwork: The loss network cannot be loaded.
    """
    source = next((source for source in sources if source.partition(":")[0] in DEEP_LAYOUTS), None)
    if source is None:
        return None
    try:
        network = load_loss_network([source], DEEP_STYLE_TAPS).to(device)
    except TooShallow:
        return None
    style_taps, content_taps = (parse_taps(taps, [source]) for taps in (DEEP_STYLE_TAPS, [DEEP_CONTENT_TAP]))
    return TapMeasure(network, style_picture, style_taps, content_taps)
