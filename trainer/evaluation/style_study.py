"""How well a style net minimises what it was trained for, against optimising each picture (section 4.1)."""

import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from model_store.nets import TransformNet
from trainer.baselines.descent import Descent, Terms, descend, iteration_equal_to, mean_curve, mean_terms, terms_of
from trainer.baselines.gatys import Iteration, noise
from trainer.objectives.loss_networks import LossNetwork, Tap, parse_taps
from trainer.objectives.losses import gram_matrix, relative_style_reconstruction
from trainer.objectives.style_objective import StyleLosses
from trainer.recipes import StyleRecipe

_STYLE_BATCH = 4
_WARM_UPS, _REPETITIONS = 2, 7

Start = Literal["noise", "content"]
Watch = Callable[[str, Iterator[Iteration]], Iterable[Iteration]]


class StyleError(NamedTuple):
    """Mean relative style error (see `losses.relative_style_reconstruction`) over pictures and taps."""

    before: float
    """Of the photos themselves."""
    after: float
    """Of the stylised photos."""


def measure_style(
    net: TransformNet,
    photos: Tensor,
    style_picture: Tensor,
    loss_network: LossNetwork,
    taps: Sequence[Tap],
) -> StyleError:
    """How far photos are from the style picture, before and after the net.

    Args:
        net: a style net in evaluation mode.
        photos: uint8 RGB, `(N, 3, H, W)`.
        style_picture: float RGB in [0, 1], `(1, 3, H, W)`.
        loss_network: on the net's device.
        taps: of the loss network, to measure at.

    Raises:
        ValueError: there are no photos.
    """
    if not len(photos):
        raise ValueError("there are no photos to measure the style on")

    def error(pictures: Tensor) -> float:
        features = loss_network(pictures, taps)
        return math.fsum(
            float(relative_style_reconstruction(gram_matrix(features[tap]), target)) for tap, target in targets.items()
        )

    before = after = 0.0
    with torch.inference_mode():
        style_features = loss_network(style_picture.to(loss_network.device), taps)
        targets = {tap: gram_matrix(style_features[tap]) for tap in taps}
        for batch in torch.split(photos, _STYLE_BATCH):
            pictures = batch.to(loss_network.device) / 255
            before += error(pictures) * len(batch)
            after += error(net(pictures)) * len(batch)
    count = len(photos) * len(taps)
    return StyleError(before / count, after / count)


def seconds_of(net: TransformNet, photo: Tensor) -> float:
    """How long a net takes for a photo: the median of repeated runs, after warm-up.

    Args:
        net: in evaluation mode, on the photo's device.
        photo: float RGB in [0, 1], `(1, 3, H, W)`.
    """
    durations = []
    with torch.inference_mode():
        for _ in range(_WARM_UPS + _REPETITIONS):
            _synchronise(photo.device)
            begun = time.perf_counter()
            net(photo)
            _synchronise(photo.device)
            durations.append(time.perf_counter() - begun)
    return statistics.median(durations[_WARM_UPS:])


class Study(NamedTuple):
    """What was found at one size; means over photos."""

    size: int
    """Side of the photos, in pixels."""
    photos: Terms
    """Of the photos themselves."""
    net: Terms
    """Of the net's pictures of them."""
    style: StyleError
    net_on_optimised: list[Terms]
    """Of the net's picture of each photo that pictures were also optimised for."""
    descents: dict[Start, list[Descent]]
    """One for each of those photos."""
    pictures: list[tuple[Tensor, Tensor]]
    """Those photos and the net's pictures of them, `(1, 3, S, S)`, on the CPU."""
    net_seconds: float
    """For one picture."""
    iteration_seconds: float

    def curve(self, start: Start) -> list[float]:
        """The best objective so far, at each iteration."""
        return mean_curve(self.descents[start])

    def net_equals(self, start: Start) -> float | None:
        """The iteration whose objective the net has on the same photos; None if optimisation never reaches it."""
        return iteration_equal_to(mean_terms(self.net_on_optimised)["objective"], self.curve(start))


def study(
    net: TransformNet,
    recipe: StyleRecipe,
    loss_network: LossNetwork,
    style_picture: Tensor,
    photos: Tensor,
    *,
    optimised: int,
    iterations: int,
    seed: int = 0,
    watch: Watch = lambda _, steps: steps,
) -> Study:
    """Compares a net with optimisation from noise and from the photo itself, on photos of one size.

    Args:
        net: a style net in evaluation mode, on the device of the loss network.
        recipe: taps and weights of the objective.
        loss_network: with the recipe's taps.
        style_picture: float RGB in [0, 1], `(1, 3, H, W)`.
        photos: uint8 RGB, `(N, 3, S, S)`, N at least 1.
        optimised: for how many of the photos, the first ones, to optimise pictures; at least 1.
        iterations: of each optimisation, at least 1.
        seed: of the noise.
        watch: passes the iterations of an optimisation on, called by what it is, and may show them.

    Raises:
        Diverged: an objective is no longer a number.
    """
    style_losses = StyleLosses(recipe, loss_network, style_picture)
    loaded = [photo[None].to(loss_network.device) / 255 for photo in photos]
    chosen = loaded[:optimised]
    descents: dict[Start, list[Descent]] = {"noise": [], "content": []}
    for number, photo in enumerate(chosen, 1):
        starts: dict[Start, Tensor] = {"noise": noise(photo, seed), "content": photo}
        for start, begin in starts.items():
            name = f"photo {number} of {len(chosen)} at {photos.shape[-1]} from {start}"
            descents[start].append(descend(photo, begin, style_losses, iterations, partial(watch, name)))
    with torch.inference_mode():
        pictures = [(photo.cpu(), net(photo).cpu()) for photo in chosen]
        net_terms = [terms_of(net(photo), photo, style_losses) for photo in loaded]
    durations = [descent.seconds for each in descents.values() for descent in each]
    return Study(
        size=photos.shape[-1],
        photos=mean_terms([terms_of(photo, photo, style_losses) for photo in loaded]),
        net=mean_terms(net_terms),
        style=measure_style(
            net, photos, style_picture, loss_network, parse_taps(recipe.style_taps, recipe.loss_networks)
        ),
        net_on_optimised=net_terms[:optimised],
        descents=descents,
        pictures=pictures,
        net_seconds=seconds_of(net, loaded[0]),
        iteration_seconds=statistics.fmean(durations),
    )


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
