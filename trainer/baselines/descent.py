"""The fall of the objective of a picture while it is optimised, and where a net stands on it (section 4.1)."""

import itertools
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from trainer.baselines.gatys import Iteration, optimise, style_objective
from trainer.objectives.losses import weighted_sum
from trainer.objectives.style_objective import StyleLosses

Terms = Mapping[str, float]
"""The unweighted terms of equation 5, keyed by name, and their weighted sum as `objective`."""


class Descent(NamedTuple):
    """The course of the optimisation of one picture, and its best picture."""

    objectives: list[float]
    """Objective of the start, then of the picture after each iteration."""
    seconds: float
    """Median number of seconds that an iteration took."""
    terms: Terms
    """Terms of the picture with the lowest objective."""
    picture: Tensor
    """The picture with the lowest objective, float RGB in [0, 1], `(1, 3, H, W)`, on the CPU."""


def descend(
    photo: Tensor,
    start: Tensor,
    style_losses: StyleLosses,
    iterations: int,
    watch: Callable[[Iterator[Iteration]], Iterable[Iteration]] = iter,
) -> Descent:
    """Optimise a picture as Gatys et al. do, and record how its objective falls.

    Args:
        photo: Content photo, float RGB in [0, 1], `(1, 3, H, W)`, on the device of the losses.
        start: Picture to start from, of the same shape and on the same device.
        style_losses: Losses of the style, with their weights.
        iterations: Number of iterations, at least 1.
        watch: Function that passes the iterations on, and may show them.

    Raises:
        Diverged: The objective is no longer a finite number.
    """
    durations: list[float] = []
    steps = _timed(optimise(start, style_objective(style_losses, photo), iterations), durations)
    objectives = []
    best = None
    for iteration in watch(steps):
        objectives.append(iteration.objective)
        best = iteration if best is None or iteration.objective < best.objective else best
    if best is None:
        raise ValueError("an optimisation has at least its start")
    terms = terms_of(best.picture, photo, style_losses)
    return Descent(objectives, statistics.median(durations), terms, best.picture.cpu())


def best_so_far(objectives: Iterable[float]) -> list[float]:
    """Return the lowest objective up to each iteration."""
    return list(itertools.accumulate(objectives, min))


def mean_curve(descents: Sequence[Descent]) -> list[float]:
    """Return the lowest objective up to each iteration, on average over pictures."""
    return [
        statistics.fmean(values)
        for values in zip(*(best_so_far(descent.objectives) for descent in descents), strict=True)
    ]


def iteration_equal_to(objective: float, falling: Sequence[float]) -> float | None:
    """Return the iteration at which a curve reaches an objective, with a fraction; None if it never does.

    Args:
        objective: Objective of a net.
        falling: Curve that never rises, one value for each iteration from 0 on.
    """
    if falling[0] <= objective:
        return 0.0
    for number, (before, after) in enumerate(itertools.pairwise(falling)):
        if after <= objective:
            return number + (before - objective) / (before - after)
    return None


@torch.no_grad()
def terms_of(picture: Tensor, photo: Tensor, style_losses: StyleLosses) -> Terms:
    """Return the terms and the objective of a picture that was made from a photo.

    Args:
        picture: Float RGB in [0, 1], `(1, 3, H, W)`, on the device of the losses.
        photo: Content photo, of the same shape and on the same device.
        style_losses: Losses of the style, with their weights.
    """
    terms = style_losses.terms(picture, style_losses.content(photo))
    values = {name: float(term) for name, term in terms.items()}
    return {**values, "objective": float(weighted_sum(terms, style_losses.weights))}


def mean_terms(terms: Sequence[Terms]) -> Terms:
    """Return the mean of each term over at least one picture."""
    return {name: statistics.fmean(each[name] for each in terms) for name in terms[0]}


def _timed(iterations: Iterator[Iteration], durations: list[float]) -> Iterator[Iteration]:
    """Pass iterations on and append their seconds to `durations`; reading an objective has waited for the device."""
    begun = time.perf_counter()
    for iteration in iterations:
        durations.append(time.perf_counter() - begun)
        yield iteration
        begun = time.perf_counter()
