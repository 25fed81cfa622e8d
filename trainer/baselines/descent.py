"""How the objective of a picture falls while it is optimised, and where on the way a net is (section 4.1)."""

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
"""The terms of equation 5 by name, unweighted, and `objective`, their weighted sum."""


class Descent(NamedTuple):
    """How the objective of one picture fell."""

    objectives: list[float]
    """Of the start and after each iteration."""
    seconds: float
    """Of one iteration: the median."""
    terms: Terms
    """Where the objective was lowest."""
    picture: Tensor
    """There, float RGB in [0, 1], `(1, 3, H, W)`, on the CPU."""


def descend(
    photo: Tensor,
    start: Tensor,
    style_losses: StyleLosses,
    iterations: int,
    watch: Callable[[Iterator[Iteration]], Iterable[Iteration]] = iter,
) -> Descent:
    """Optimises a picture as Gatys et al. do.

    Args:
        photo: float RGB in [0, 1], `(1, 3, H, W)`, on the device of the losses.
        start: of the same shape.
        style_losses: the style, and the terms' weights.
        iterations: at least 1.
        watch: passes the iterations on, and may show them.

    Raises:
        Diverged: the objective is no longer a number.
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
    """The lowest objective up to each iteration."""
    return list(itertools.accumulate(objectives, min))


def mean_curve(descents: Sequence[Descent]) -> list[float]:
    """The best objective so far, at each iteration, on average over pictures."""
    return [
        statistics.fmean(values)
        for values in zip(*(best_so_far(descent.objectives) for descent in descents), strict=True)
    ]


def iteration_equal_to(objective: float, falling: Sequence[float]) -> float | None:
    """When a curve reaches an objective, interpolated between iterations; None if it never does.

    Args:
        objective: of a net.
        falling: a curve that never rises, from iteration 0 on.
    """
    if falling[0] <= objective:
        return 0.0
    for number, (before, after) in enumerate(itertools.pairwise(falling)):
        if after <= objective:
            return number + (before - objective) / (before - after)
    return None


@torch.no_grad()
def terms_of(picture: Tensor, photo: Tensor, style_losses: StyleLosses) -> Terms:
    """The terms of a picture of a photo.

    Args:
        picture: float RGB in [0, 1], `(1, 3, H, W)`, on the device of the losses.
        photo: of the same shape.
        style_losses: the style, and the terms' weights.
    """
    terms = style_losses.terms(picture, style_losses.content(photo))
    values = {name: float(term) for name, term in terms.items()}
    return {**values, "objective": float(weighted_sum(terms, style_losses.weights))}


def mean_terms(terms: Sequence[Terms]) -> Terms:
    """The mean of each term over pictures, at least one."""
    return {name: statistics.fmean(each[name] for each in terms) for name in terms[0]}


def _timed(iterations: Iterator[Iteration], durations: list[float]) -> Iterator[Iteration]:
    """Passes iterations on and notes their seconds; each has waited for the device, because its objective was read."""
    begun = time.perf_counter()
    for iteration in iterations:
        durations.append(time.perf_counter() - begun)
        yield iteration
        begun = time.perf_counter()
