"""Style transfer by optimising the picture itself (Gatys et al. 2016), the baseline of the paper (section 4.1)."""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from trainer.errors import Diverged
from trainer.objectives.losses import weighted_sum
from trainer.objectives.style_objective import StyleLosses

_HISTORY = 50
"""Number of the last steps from which L-BFGS estimates the curvature."""
_LONGEST_STEP = 0.05
"""Largest root mean square of a step over the values of the picture."""


class Iteration(NamedTuple):
    """One picture on the way of an optimisation."""

    number: int
    """Number of steps that led to the picture; 0 for the start."""
    objective: float
    """Objective of this picture."""
    picture: Tensor
    """Float RGB in [0, 1], of the shape of the start."""


def optimise(start: Tensor, objective: Callable[[Tensor], Tensor], iterations: int) -> Iterator[Iteration]:
    """Minimise an objective of a picture by projected L-BFGS: each step has no line search and is clipped to [0, 1].

    The length of steps is limited, so that the first ones, for which there is little history, do not leap.

    Args:
        start: Float RGB, `(1, 3, H, W)`, on the device to compute on; it is not changed.
        objective: Differentiable function of a picture that returns a scalar; it is evaluated once in each iteration,
            and once more at the end.
        iterations: Number of steps.

    Yields:
        The start and the picture after each step; each step is computed only when it is asked for.

    Raises:
        Diverged: The objective is no longer a finite number.
    """
    picture = start.detach().float().clamp(0, 1).clone().requires_grad_()
    # The tolerances keep it from stopping early, because the time of all iterations is measured.
    lbfgs = torch.optim.LBFGS([picture], max_iter=1, history_size=_HISTORY, tolerance_grad=-1.0, tolerance_change=0.0)
    scale = 0.0

    def closure() -> float:
        # The gradient is scaled so that a plain step down it is as long as steps may be: LBFGS has absolute thresholds
        # below which it learns no curvature, and takes plain steps until it does.
        nonlocal scale
        value = objective(picture)
        (gradient,) = torch.autograd.grad(value, picture)
        scale = scale or _LONGEST_STEP / (_root_mean_square(gradient) or 1.0)
        picture.grad = gradient * scale
        return value.item()

    for number in range(iterations):
        before = picture.detach().clone()
        value = float(lbfgs.step(closure))  # type: ignore[no-untyped-call]
        yield Iteration(number, _finite(value, number), before)
        with torch.no_grad():
            step = picture - before
            length = _root_mean_square(step)
            if length > _LONGEST_STEP or (number == 0 and length > 0):  # LBFGS's own first step is far too short
                step *= _LONGEST_STEP / length
            picture.copy_((before + step).clamp(0, 1))
            # LBFGS is told the step that was taken in the end, so that its history has the curvature of that one.
            lbfgs.state[picture]["d"] = (picture - before).flatten() / lbfgs.state[picture]["t"]
    with torch.no_grad():
        value = objective(picture).item()
    yield Iteration(iterations, _finite(value, iterations), picture.detach())


def style_objective(style_losses: StyleLosses, photo: Tensor) -> Callable[[Tensor], Tensor]:
    """Return the objective of a picture that shows a photo in a style (equation 5 of the paper).

    Args:
        style_losses: Losses of the style, with their weights.
        photo: Content photo, float RGB in [0, 1], `(1, 3, H, W)`, on the device of the losses.
    """
    content = style_losses.content(photo)
    return lambda picture: weighted_sum(style_losses.terms(picture, content), style_losses.weights)


def noise(like: Tensor, seed: int) -> Tensor:
    """Return white noise, uniform in [0, 1], of the shape and on the device of a picture; it is the same everywhere."""
    return torch.rand(like.shape, generator=torch.Generator().manual_seed(seed)).to(like.device)


def _root_mean_square(tensor: Tensor) -> float:
    return float(tensor.square().mean().sqrt())


def _finite(value: float, number: int) -> float:
    if not math.isfinite(value):
        raise Diverged(f"the objective is {value} at iteration {number}: give it smaller weights")
    return value
