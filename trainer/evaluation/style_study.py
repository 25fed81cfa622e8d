"""The comparison of a style net with the optimisation of each picture, by the same objective (section 4.1)."""

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
"""Numbers of runs of a net before it is timed, and of those that are timed."""

Start = Literal["noise", "content"]
"""The picture that an optimisation starts from: noise, or the content photo."""
Watch = Callable[[str, Iterator[Iteration]], Iterable[Iteration]]
"""A function that gets the name of an optimisation and passes its iterations on."""


class StyleError(NamedTuple):
    """The mean relative style error over pictures and taps; see `losses.relative_style_reconstruction`."""

    before: float
    """Error of the photos themselves."""
    after: float
    """Error of the stylised photos."""


def seconds_of(net: TransformNet, photo: Tensor) -> float:
    """Return the seconds that a net takes for a photo: the median of repeated runs, after warm-up.

    Args:
        net: Net in evaluation mode, on the photo's device.
        photo: Float RGB in [0, 1], `(1, 3, H, W)`.
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
    """The results of the comparison at one size.

    The first photos are also optimised: pictures are made from them by optimisation.
    """

    size: int
    """Side of the photos, in pixels."""
    photos: Terms
    """Mean terms of the photos themselves."""
    net: Terms
    """Mean terms of the net's pictures of all photos."""
    style: StyleError
    """Style error of all photos, before and after the net."""
    deep: dict[str, list[TapErrors]]
    """Errors at the deep taps, keyed by the kind of picture: all photos, the net's pictures of them, and the optimised
    pictures from each start; empty if no loss network has these taps."""
    deep_network: str | None
    """Layout of the VGG-16 that the deep taps are on, as in vgg16-caffe; None if there is none."""
    net_on_optimised: list[Terms]
    """Terms of the net's picture of each photo that was also optimised."""
    descents: dict[Start, list[Descent]]
    """Optimisations of each photo that was also optimised, keyed by start."""
    pictures: list[tuple[Tensor, Tensor]]
    """Photos that were also optimised and the net's pictures of them, `(1, 3, S, S)`, on the CPU."""
    net_seconds: float
    """Seconds that the net takes for one picture."""
    iteration_seconds: float
    """Seconds that an iteration of the optimisation takes."""

    def curve(self, start: Start) -> list[float]:
        """Return the lowest objective up to each iteration, on average over photos."""
        return mean_curve(self.descents[start])

    def net_equals(self, start: Start) -> float | None:
        """Return the iteration at which optimisation reaches the net's objective on the same photos; None if never."""
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
    """Compare a net with optimisation from noise and from the photo itself, on photos of one size.

    Args:
        net: Style net in evaluation mode, on the device of the loss network.
        recipe: Recipe whose taps, kind of losses and weights make the objective.
        loss_network: Loss network that has the recipe's taps.
        style_picture: Float RGB in [0, 1], `(1, 3, H, W)`.
        photos: RGB as uint8, `(N, 3, S, S)`, N at least 1.
        optimised: Number of photos, the first ones, for which pictures are optimised; at least 1.
        iterations: Number of iterations of each optimisation, at least 1.
        seed: Seed of the noise.
        deep: Measure at the deep taps, if there is one.
        watch: Function that gets the name of each optimisation, passes its iterations on, and may show them.

    Raises:
        Diverged: An objective is no longer a finite number.
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
