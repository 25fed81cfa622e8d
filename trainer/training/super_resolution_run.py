"""The run that trains a super-resolution net: opening it, measuring its net, and describing the net for the store."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from model_store.card import Draft
from model_store.nets import TransformNet
from trainer.data.batches import Batches
from trainer.data.degradation import PAPER_SIGMA
from trainer.data.squares import Photos, load_tiles
from trainer.evaluation.super_resolution_study import Comparison, compare_tiles
from trainer.objectives.loss_networks import LossNetwork, check_side, fingerprints, load_loss_network
from trainer.objectives.super_resolution_objective import SuperResolutionObjective, patches
from trainer.recipes import SuperResolutionRecipe
from trainer.training.drafts import Origin, super_resolution_draft
from trainer.training.processes import Processes
from trainer.training.start import Start, weights_for
from trainer.training.training import Training


class SuperResolutionRun(NamedTuple):
    """A super-resolution net about to be trained, with its recipe and photos."""

    recipe: SuperResolutionRecipe
    photos: Photos
    training: Training
    batches: Batches

    def measure(self, net: TransformNet) -> Comparison | None:
        """Measure a net on the tiles held out; return None if there are none."""
        if not len(self.photos.held_out):
            return None
        sigma = 0.0 if self.recipe.degradation == "bicubic" else PAPER_SIGMA
        return compare_tiles(net, self.photos.held_out, self.training.device, sigma)

    def draft(self, scores: Comparison | None, origin: Origin) -> Draft:
        """Return the draft of the net's card; `scores` are the result of `measure`."""
        return super_resolution_draft(self.recipe, self.photos, scores, origin)


def open_super_resolution_run(
    recipe: SuperResolutionRecipe,
    photos: Sequence[str | Path],
    held_out: int,
    processes: Processes,
    start: Start | None = None,
    *,
    stream: bool | None = None,
    compiled: bool | None = None,
) -> SuperResolutionRun:
    """Load everything that a run needs, beginning with what fails fastest.

    Args:
        recipe: Recipe to train with.
        photos: Folders, tars or patterns of tars, as for `find_photos`.
        held_out: Number of photos to keep from training.
        processes: Processes that train the net.
        start: Net to start from; random weights if not given.
        stream: Whether to decode photos whenever they are needed; if not given, they are where they do not fit in
            memory.
        compiled: Whether to compile the losses; if not given, they are where the run is long enough to save time.

    Raises:
        BadRecipe: The recipe does not fit the processes, the photos' tiles or the net to start from.
        BadLossNetwork: The loss network cannot be loaded, or its taps do not fit the patches.
        BadPhotos: There are too few photos.
    """
    weights = weights_for(recipe, start) if start else None
    processes.check_batch(recipe.batch)
    network = _load_network(recipe, processes)
    objective = SuperResolutionObjective(recipe, network)
    tiles = load_tiles(photos, recipe.tile, held_out)
    batches = Batches(
        tiles.train,
        patches(recipe, tiles.train),
        recipe.size_at,
        processes.device,
        keep=None if stream is None else not stream,
        share=(processes.rank, processes.count),
    )
    training = Training(recipe, objective, processes, weights, compiled=compiled)
    training.data = {"photos": tiles.train.sha256}
    if network is not None:
        training.data["loss networks"] = fingerprints(recipe.loss_networks)
    if start:
        training.data["from"] = start.fingerprint
    return SuperResolutionRun(recipe, tiles, training, batches)


def _load_network(recipe: SuperResolutionRecipe, processes: Processes) -> LossNetwork | None:
    if not recipe.sees_features:
        return None
    network = load_loss_network(recipe.loss_networks, recipe.feature_taps).to(processes.device)
    check_side(network.taps, recipe.patch)
    return network
