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
_LONGEST_STEP = 0.05  # root mean square over the picture


class Iteration(NamedTuple):
    """How far the optimisation is."""

    number: int
    """How often the picture was improved; 0 is the picture it started from."""
    objective: float
    """Of this very picture."""
    picture: Tensor
    """Float RGB in [0, 1], shaped as the start."""


def optimise(start: Tensor, objective: Callable[[Tensor], Tensor], iterations: int) -> Iterator[Iteration]:
    """Projected L-BFGS: a step without line search, then the picture is clipped to [0, 1], and so on.

    Steps are limited in length, which keeps the first ones, with little history, from leaping.

    Args:
        start: float RGB, `(1, 3, H, W)`, on the device to compute on; not changed.
        objective: a scalar to minimise, differentiable; evaluated once an iteration, and once more at the end.
        iterations: how many steps.

    Yields:
        The start and the picture after each step; what is between them is computed when it is asked for.

    Raises:
        Diverged: the objective is no longer a number.
    """
    picture = start.detach().float().clamp(0, 1).clone().requires_grad_()
    # It must neither stop early nor save iterations where their time is measured: hence the tolerances.
    lbfgs = torch.optim.LBFGS([picture], max_iter=1, history_size=_HISTORY, tolerance_grad=-1.0, tolerance_change=0.0)
    scale = 0.0

    def closure() -> float:
        # The gradient is scaled so that a plain step down it is as long as steps may be: LBFGS has absolute thresholds,
        # below which it learns no curvature, and goes by plain steps until it does.
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
            # The step as it was at last: else the curvature of a step that was not taken enters the history.
            lbfgs.state[picture]["d"] = (picture - before).flatten() / lbfgs.state[picture]["t"]
    with torch.no_grad():
        value = objective(picture).item()
    yield Iteration(iterations, _finite(value, iterations), picture.detach())


def style_objective(style_losses: StyleLosses, photo: Tensor) -> Callable[[Tensor], Tensor]:
    """What is minimised for a picture of a photo in a style (equation 5 of the paper).

    Args:
        style_losses: the style, and the terms' weights.
        photo: float RGB in [0, 1], `(1, 3, H, W)`, on the device of the losses.
    """
    content = style_losses.content(photo)
    return lambda picture: weighted_sum(style_losses.terms(picture, content), style_losses.weights)


def noise(like: Tensor, seed: int) -> Tensor:
    """White noise, uniform in [0, 1], of the shape and on the device of a picture; the same on every device."""
    return torch.rand(like.shape, generator=torch.Generator().manual_seed(seed)).to(like.device)


def _root_mean_square(tensor: Tensor) -> float:
    return float(tensor.square().mean().sqrt())


def _finite(value: float, number: int) -> float:
    if not math.isfinite(value):
        raise Diverged(f"the objective is {value} at iteration {number}: give it smaller weights")
    return value
