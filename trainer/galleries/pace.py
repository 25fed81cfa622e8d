"""The pace of training: the seconds that a step takes, and the number of steps that fit into some seconds."""

import time
from collections.abc import Mapping

from trainer.recipes import StyleRecipe
from trainer.training.style_run import StyleRun

_WARM_UPS, _TIMED = {"cpu": 1, "cuda": 5}, {"cpu": 2, "cuda": 10}
"""Numbers of steps of a size before those that are timed, and of those; on CUDA the fourth is captured as a graph."""


def seconds_a_step(run: StyleRun) -> dict[int, float]:
    """Measure a step with photos of each size that a run sees; afterwards the run cannot be trained any more.

    Returns:
        Seconds that a step takes, keyed by the side of the photos, in pixels.
    """
    device = run.training.device.type
    seconds = {}
    for size in run.recipe.sizes:
        step = next((step for step in range(run.recipe.steps) if run.recipe.size_at(step) == size), None)
        if step is None:
            continue
        _advance(run, step, _WARM_UPS[device])
        begun = time.perf_counter()
        _advance(run, step, _TIMED[device])
        seconds[size] = (time.perf_counter() - begun) / _TIMED[device]
    return seconds


def steps_within(seconds: float, recipe: StyleRecipe, step_seconds: Mapping[int, float]) -> int:
    """Return the number of steps that fit into some seconds, which is at most that of the recipe and at least one.

    Args:
        seconds: Seconds for all steps.
        recipe: Recipe, which says the share of the steps that each size has.
        step_seconds: Seconds that a step takes, keyed by the side of the photos, in pixels.
    """
    mean = sum(share * step_seconds.get(size, 0.0) for size, share in recipe.sizes.items())
    return max(1, min(recipe.steps, int(seconds / mean)))


def _advance(run: StyleRun, step: int, times: int) -> None:
    for _ in range(times):
        losses = run.training.advance(run.batches.at(step))
    float(losses["objective"])  # waits for the device
