"""The run that trains a style net: opening it, measuring its net, and describing the net for the store."""

from pathlib import Path
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from model_store.card import Draft
from model_store.nets import TransformNet
from trainer.data.batches import Batches
from trainer.data.photos import load_picture, sha256_of
from trainer.data.squares import Crops, Photos
from trainer.evaluation.style_study import Study, study
from trainer.evaluation.tap_errors import Measured, TapMeasure, load_deep_measure, mean_errors
from trainer.objectives.loss_networks import LossNetwork, check_side, fingerprints, load_loss_network
from trainer.objectives.style_objective import StyleLosses, StyleObjective, parts
from trainer.recipes import StyleRecipe
from trainer.training.drafts import Origin, style_draft
from trainer.training.processes import Processes
from trainer.training.start import Start, weights_for
from trainer.training.training import Training


class StyleRun(NamedTuple):
    """A style net about to be trained, with its recipe, pictures, photos and loss network."""

    recipe: StyleRecipe
    picture: Path
    """Path of the style picture."""
    style_picture: Tensor
    """Float RGB in [0, 1], `(1, 3, H, W)`."""
    photos: Photos
    network: LossNetwork
    training: Training
    batches: Batches

    def measure(self, net: TransformNet, old: TransformNet | None = None) -> Measured | None:
        """Measure a net, and the one before it, on the photos held out; return None if there are none.

        Errors are measured at the paper's taps of VGG-16 if that is among the loss networks, else at the taps that the
        net was trained on.
        """
        photos = _scaled(self.photos.held_out, self.recipe.size)
        if not len(photos):
            return None
        device = self.training.device
        deep = load_deep_measure(self.recipe.loss_networks, self.style_picture, device)
        measure = deep or TapMeasure.of_training(self.recipe, self.network, self.style_picture)
        return Measured(
            photos=mean_errors(measure.errors_of(None, photos)),
            net=mean_errors(measure.errors_of(net, photos)),
            old=None if old is None else mean_errors(measure.errors_of(old.to(device), photos)),
            deep_network=deep.style_taps[0].network if deep else None,
            data=f"{len(photos)} held-out photos, {self.recipe.size}×{self.recipe.size}",
        )

    def study(self, net: TransformNet, optimised: int, iterations: int) -> Study:
        """Compare a net with optimisation on the photos held out, at the size of the recipe.

        Args:
            net: Net in evaluation mode.
            optimised: Number of photos for which pictures are optimised.
            iterations: Number of iterations of each optimisation.
        """
        return study(
            net,
            self.recipe,
            self.network,
            self.style_picture,
            _scaled(self.photos.held_out, self.recipe.size),
            optimised=optimised,
            iterations=iterations,
            deep=load_deep_measure(self.recipe.loss_networks, self.style_picture, self.training.device),
        )

    def draft(self, measured: Measured | None, origin: Origin) -> Draft:
        """Return the draft of the net's card; `measured` is the result of `measure`."""
        return style_draft(self.recipe, self.picture, self.photos, measured, origin)


def open_style_run(
    recipe: StyleRecipe,
    picture: Path,
    crops: Crops,
    processes: Processes,
    start: Start | None = None,
    *,
    stream: bool | None = None,
    compiled: bool | None = None,
) -> StyleRun:
    """Load everything that a run needs, beginning with what fails fastest.

    Args:
        recipe: Recipe to train with.
        picture: Path of the style picture.
        crops: Crops of the photos.
        processes: Processes that train the net.
        start: Net to start from; random weights if not given.
        stream: Whether to decode photos whenever they are needed; if not given, they are where they do not fit in
            memory.
        compiled: Whether to compile the losses; if not given, they are where the run is long enough to save time.

    Raises:
        BadRecipe: The recipe does not fit the processes or the net to start from.
        BadLossNetwork: The loss network cannot be loaded, or its taps do not fit the pictures.
        BadPhotos: There are too few photos, or the style picture cannot be read.
    """
    weights = weights_for(recipe, start) if start else None
    processes.check_batch(recipe.batch)
    network = load_loss_network(recipe.loss_networks, (*recipe.content_taps, *recipe.style_taps)).to(processes.device)
    check_side(network.taps, min(recipe.smallest_size, recipe.style_size))
    style_picture = load_picture(picture, recipe.style_size)
    photos = crops.of(recipe.largest_size)
    batches = Batches(
        photos.train,
        parts(recipe, photos.train),
        recipe.size_at,
        processes.device,
        keep=None if stream is None else not stream,
        share=(processes.rank, processes.count),
    )
    objective = StyleObjective(StyleLosses(recipe, network, style_picture))
    training = Training(recipe, objective, processes, weights, compiled=compiled)
    training.data = {
        "style picture": sha256_of(picture),
        "photos": photos.train.sha256,
        "loss networks": fingerprints(recipe.loss_networks),
    }
    if start:
        training.data["from"] = start.fingerprint
    return StyleRun(recipe, picture, style_picture, photos, network, training, batches)


def _scaled(photos: Tensor, size: int) -> Tensor:
    """Scale uint8 photos, `(N, 3, S, S)`, to `(N, 3, size, size)`."""
    if not len(photos) or photos.shape[-1] == size:
        return photos
    scaled = F.interpolate(photos.float(), (size, size), mode="bilinear", antialias=True)
    return scaled.round().clamp(0, 255).byte()
