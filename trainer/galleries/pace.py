"""The pace of training: the seconds that a step takes, and the number of steps that fit into some seconds."""

import time

from trainer.recipes import StyleRecipe
from trainer.training.style_run import StyleRun

_WARM_UPS, _TIMED = {"cpu": 1, "cuda": 5}, {"cpu": 2, "cuda": 20}
"""Numbers of steps before those that are timed, and of those; on CUDA the fourth is captured as a graph."""


def seconds_a_step(run: StyleRun) -> float:
    """Return the seconds of a step with photos of the size that most steps see; the run cannot be used afterwards."""
    device, size = run.training.device.type, _usual_size(run.recipe)
    step = next(step for step in range(run.recipe.steps) if run.recipe.size_at(step) == size)
    _advance(run, step, _WARM_UPS[device])
    begun = time.perf_counter()
    _advance(run, step, _TIMED[device])
    return (time.perf_counter() - begun) / _TIMED[device]


def steps_within(seconds: float, recipe: StyleRecipe, step_seconds: float) -> int:
    """Return the number of steps that fit into some seconds, which is at most that of the recipe and at least one.

    A step is assumed to take as long as its number of pixels says.

    Args:
        seconds: Seconds for all steps.
        recipe: Recipe, which says the share of the steps that each size has.
        step_seconds: Seconds of a step, as `seconds_a_step` measured them.
    """
    usual = _usual_size(recipe)
    mean = step_seconds * sum(share * (size / usual) ** 2 for size, share in recipe.sizes.items())
    return max(1, min(recipe.steps, int(seconds / mean)))


def _usual_size(recipe: StyleRecipe) -> int:
    """Side of the photos that most steps see, in pixels."""
    return max(recipe.sizes, key=recipe.sizes.__getitem__)


def _advance(run: StyleRun, step: int, times: int) -> None:
    for _ in range(times):
        losses = run.training.advance(run.batches.at(step))
    float(losses["objective"])  # waits for the device
