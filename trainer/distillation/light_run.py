"""The run that trains a light net: its paintings and photos, its two parts, its figures, and the draft of its card."""

import hashlib
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import safetensors.torch
import torch
from pydantic import JsonValue
from torch import Tensor

from model_store.card import Draft, Measurement
from model_store.nets import TransformNet
from model_store.store import Model
from trainer.baselines.descent import Terms, mean_terms, terms_of
from trainer.data.batches import Batches, Views
from trainer.data.photos import load_picture, sha256_of
from trainer.data.squares import Crops, Photos
from trainer.distillation.objective import DistillationObjective, EndObjective
from trainer.distillation.paintings import on_device, paint, painted
from trainer.distillation.recipe import LightRecipe
from trainer.errors import BadRecipe
from trainer.evaluation.card_objective import objective_of
from trainer.evaluation.metrics import luma, psnr
from trainer.objectives.loss_networks import LossNetwork, check_side, fingerprints, load_loss_network
from trainer.objectives.style_objective import StyleLosses
from trainer.recipes import StyleRecipe, changed
from trainer.training.drafts import Origin, author_of, names_of_networks, settings_of, title_of
from trainer.training.processes import Processes
from trainer.training.start import Start, weights_for
from trainer.training.training import Training


class Figures(NamedTuple):
    """The figures of a light net on the photos held out, each a mean."""

    psnr: float
    """PSNR of the luma of its paintings to that of the full net's, in dB."""
    light: Terms
    """Terms of the full net's objective for the light net; empty if the style picture was not given."""
    full: Terms
    """The same terms for the full net."""
    data: str
    """Number and size of the photos, in words."""


class End(NamedTuple):
    """The last part of the run, which trains by the full net's own objective."""

    recipe: StyleRecipe
    losses: StyleLosses
    training: Training


class LightRun(NamedTuple):
    """A light net about to be trained on the paintings of a full net."""

    recipe: LightRecipe
    full: Model
    """The full net with its card."""
    photos: Photos
    objective: DistillationObjective
    training: Training
    batches: Batches

    def measure(self, net: TransformNet, end: "End | None") -> Figures | None:
        """Measure the light net beside the full net on the photos held out; return None if there are none.

        Args:
            net: Light net.
            end: Last part of the run; None if the style picture was not given.
        """
        photos, device = self.photos.held_out, self.training.device
        if not len(photos):
            return None
        light, full = (paint(each, photos) for each in (net.to(device), on_device(self.full.net, device)))
        pairs = zip(torch.split(light, 1), torch.split(full, 1), strict=True)
        likeness = statistics.fmean(psnr(luma(first / 255), luma(second / 255), border=0) for first, second in pairs)
        data = f"{len(photos)} held-out photos, {self.recipe.size}×{self.recipe.size}"
        if end is None:
            return Figures(likeness, {}, {}, data)
        ours, theirs = (_mean_terms(each, photos, end.losses, device) for each in (light, full))
        return Figures(likeness, ours, theirs, data)

    def draft(self, figures: Figures | None, end: "End | None", origin: Origin) -> Draft:
        """Return the draft of the light net's card; `figures` are the result of `measure`."""
        card = self.full.card
        networks = names_of_networks(self.recipe.loss_networks)
        settings = settings_of(self.recipe, origin) | {"loss_networks": networks}
        if end is not None:
            ending = end.recipe.model_dump(mode="json") | {"loss_networks": networks}
            how: dict[str, JsonValue] = {"sha256": dict(end.training.data), "seconds": round(end.training.seconds, 1)}
            settings["end"] = {**ending, **how}
        return Draft(
            task="stylize",
            name=origin.name,
            title=title_of(origin._replace(title=origin.title or f"{card.title}, light")),
            description=f"{card.description} This light net learned it from the paintings of {card.label}.",
            architecture=self.recipe.architecture,
            parameters=self.recipe.parameters,
            light_of=card.label,
            recipe=settings,
            training_data=f"{self.photos.description}, and what {card.label} paints of {self.painted} of them",
            loss_network=", ".join(map(str, networks)) or "none",
            measurements=() if figures is None else tuple(_measurements(figures, card.label, origin.command)),
            licence=origin.licence,
            author=author_of(origin),
        )

    @property
    def painted(self) -> int:
        """Return the number of photos that the full net painted."""
        return min(self.recipe.paintings, len(self.photos.train))


def open_light_run(
    recipe: LightRecipe,
    full: Model,
    crops: Crops,
    processes: Processes,
    folder: Path,
    start: Start | None = None,
    report: Callable[[int, int], None] = lambda _painted, _of: None,
) -> LightRun:
    """Load everything that the first part of the run needs, and have the full net paint.

    Args:
        recipe: Recipe to train with.
        full: Full net with its card.
        crops: Crops of the photos.
        processes: Processes that train the net; only one can.
        folder: Existing folder of the run, in which the paintings are kept.
        start: Light net to start from; random weights if not given.
        report: Function that is called with the number of photos that are painted, and that of all.

    Raises:
        BadRecipe: The recipe does not fit the net to start from, or there are several processes.
        BadLossNetwork: The loss network cannot be loaded, or its taps do not fit the windows.
        BadPhotos: There are too few photos.
        BadRun: The folder has paintings of another net or of other photos.
    """
    if processes.count > 1:
        raise BadRecipe("a light net is trained by one process: start it without torchrun")
    weights = weights_for(recipe, start) if start else None
    network = _load_network(recipe, processes)
    objective = DistillationObjective(recipe, network)
    photos = crops.of(recipe.size)
    identity = f"{full.card.sha256} {photos.train.sha256}"
    pairs = painted(full.net, photos.train, recipe.paintings, processes.device, folder / "paintings", identity, report)
    batches = Batches(pairs, _whole_photos(pairs, recipe), recipe.size_at, processes.device)
    training = Training(recipe, objective, processes, weights)
    training.data = {"photos": photos.train.sha256, "full net": f"{full.card.label} {full.card.sha256}"}
    if network is not None:
        training.data["loss networks"] = fingerprints(recipe.loss_networks)
    if start:
        training.data["from"] = start.fingerprint
    return LightRun(recipe, full, photos, objective, training, batches)


def open_end(run: LightRun, net: TransformNet, picture: Path) -> End:
    """Load everything that the last part of the run needs.

    Args:
        run: Run whose first part has ended.
        net: Light net that has learned the paintings.
        picture: Path of the style picture.

    Raises:
        BadRecipe: The objective of the full net needs loss networks that were not given.
        BadLossNetwork: The loss network cannot be loaded, or its taps do not fit the pictures.
        BadPhotos: The style picture cannot be read.
    """
    recipe, device = ending(run.recipe, run.full), run.training.device
    network = load_loss_network(recipe.loss_networks, (*recipe.content_taps, *recipe.style_taps)).to(device)
    check_side(network.taps, min(recipe.size, recipe.style_size))
    style_losses = StyleLosses(recipe, network, load_picture(picture, recipe.style_size))
    weights = {key: value.detach().cpu().contiguous() for key, value in net.state_dict().items()}
    objective = EndObjective(style_losses, run.objective)
    training = Training(recipe, objective, run.training.processes, weights)
    training.data = {
        **run.training.data,
        "style picture": sha256_of(picture),
        "loss networks": fingerprints(recipe.loss_networks),
        "first part": hashlib.sha256(safetensors.torch.save(weights)).hexdigest(),
    }
    return End(recipe, style_losses, training)


def ending(recipe: LightRecipe, full: Model) -> StyleRecipe:
    """Return the recipe of the last part of the run.

    Raises:
        BadRecipe: The objective of the full net needs loss networks that were not given, or cannot be read.
    """
    said = full.card.recipe.get("loss_networks")
    needed = {str(each).partition(":")[0] for each in said} if isinstance(said, list) else set()
    missing = needed - {each.partition(":")[0] for each in recipe.loss_networks}
    if missing:
        raise BadRecipe(
            f"{full.card.label} was trained with {', '.join(sorted(missing))}: give --loss-network LAYOUT:FILE, "
            "or leave the style picture out"
        )
    of_the_net = {"architecture": recipe.architecture, **recipe.parameters}
    how = {"steps": max(1, recipe.end_steps), "learning_rate": recipe.end_rate, "batch": recipe.batch}
    same = recipe.model_dump(include={"size", "ema", "seed", "precision"})
    objective = objective_of(full.card.recipe, {"loss_networks": recipe.loss_networks})
    return changed(objective, of_the_net, how, same)


def _load_network(recipe: LightRecipe, processes: Processes) -> LossNetwork | None:
    if not recipe.loss_networks or not recipe.feature_weight:
        return None
    network = load_loss_network(recipe.loss_networks, recipe.feature_taps).to(processes.device)
    check_side(network.taps, recipe.feature_window)
    return network


def _whole_photos(pairs: Tensor, recipe: LightRecipe) -> Views:
    """Return the views of a run: whole photos as they are, because what a net paints depends on all of a photo."""
    return Views(len(pairs), recipe.size, recipe.batch, recipe.seed, recipe.size)


def _mean_terms(pictures: Tensor, photos: Tensor, losses: StyleLosses, device: torch.device) -> Terms:
    """Return the mean terms of uint8 pictures that were made from uint8 photos, `(N, 3, S, S)`."""
    pairs = zip(torch.split(pictures, 1), torch.split(photos, 1), strict=True)
    with torch.inference_mode():
        return mean_terms(
            [terms_of(picture.to(device) / 255, photo.to(device) / 255, losses) for picture, photo in pairs]
        )


def _measurements(figures: Figures, full: str, command: str) -> list[Measurement]:
    values = {f"PSNR of luma to the paintings of {full}": (round(figures.psnr, 2), "dB")}
    for name, terms in (("light net", figures.light), (full, figures.full)):
        values |= {f"{term}, {name}": (round(value, 4), "") for term, value in terms.items()}
    return [
        Measurement(name=name, value=value, unit=unit, data=figures.data, command=command)
        for name, (value, unit) in values.items()
    ]
