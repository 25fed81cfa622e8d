"""How well a style net minimises what it was trained for, against optimising each picture (section 4.1)."""

import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from model_store.nets import TransformNet
from trainer.baselines.descent import Descent, Terms, descend, iteration_equal_to, mean_curve, mean_terms, terms_of
from trainer.baselines.gatys import Iteration, noise
from trainer.evaluation.tap_errors import TapErrors, TapMeasure, mean_errors
from trainer.objectives.loss_networks import LossNetwork
from trainer.objectives.style_objective import StyleLosses
from trainer.recipes import StyleRecipe

_WARM_UPS, _REPETITIONS = 2, 7

Start = Literal["noise", "content"]
Watch = Callable[[str, Iterator[Iteration]], Iterable[Iteration]]


class StyleError(NamedTuple):
    """Mean relative style error (see `losses.relative_style_reconstruction`) over pictures and taps."""

    before: float
    """Of the photos themselves."""
    after: float
    """Of the stylised photos."""


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
    deep: dict[str, list[TapErrors]]
    """Errors at the deep taps by what they are of: all photos, the net's pictures of them, and for the photos that
    pictures were also optimised for, those by the start; empty without a VGG-16."""
    deep_network: str | None
    """As in vgg16-caffe."""
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
    deep: TapMeasure | None = None,
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
        deep: the measure at the deep taps.
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
    own = TapMeasure.of_training(recipe, loss_network, style_picture)
    durations = [descent.seconds for each in descents.values() for descent in each]
    return Study(
        size=photos.shape[-1],
        photos=mean_terms([terms_of(photo, photo, style_losses) for photo in loaded]),
        net=mean_terms(net_terms),
        style=StyleError(*(mean_errors(own.errors_of(each, photos)).style for each in (None, net))),
        deep={} if deep is None else _deep_errors(deep, net, photos, descents),
        deep_network=deep.style_taps[0].network if deep else None,
        net_on_optimised=net_terms[:optimised],
        descents=descents,
        pictures=pictures,
        net_seconds=seconds_of(net, loaded[0]),
        iteration_seconds=statistics.fmean(durations),
    )


def _deep_errors(
    measure: TapMeasure, net: TransformNet, photos: Tensor, descents: Mapping[Start, Sequence[Descent]]
) -> dict[str, list[TapErrors]]:
    errors = {"the photos": measure.errors_of(None, photos), "the net": measure.errors_of(net, photos)}
    for start, each in descents.items():
        pictures = torch.cat([descent.picture for descent in each])
        errors[f"Gatys from {start}"] = measure.errors(pictures, photos[: len(each)] / 255)
    return errors


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
