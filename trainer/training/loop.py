"""The training loop, which runs from the first or a saved step to the last."""

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from model_store.nets import TransformNet
from trainer.data.batches import Batches
from trainer.errors import Diverged, Stopped
from trainer.training.checkpoint import has_checkpoint, save
from trainer.training.training import Training

_REPORT_SECONDS = 0.5
"""Seconds between reports."""
_STEPS_BETWEEN_AGREEMENTS = 10
"""Steps after which processes agree whether one of them was asked to stop."""


class TrainingProgress(NamedTuple):
    """The progress of a run."""

    step: int
    """Number of steps that are done."""
    steps: int
    """Number of steps of the whole run."""
    seconds: float
    """Seconds spent on the steps that are done, over all resumptions."""
    losses: dict[str, float]
    """Losses of the last step, as `Training.advance` returns them."""


def train(
    training: Training,
    batches: Batches,
    folder: Path,
    report: Callable[[TrainingProgress], None],
    *,
    show: Callable[[int], None] | None = None,
    show_every: int = 0,
    save_every: float = 60.0,
) -> TransformNet:
    """Train to the last step, and save checkpoints on the way, at the end and when interrupted.

    Args:
        training: State of the run at its first or a saved step.
        batches: Batches of the run.
        folder: Folder of the checkpoint.
        report: Function that is called about twice a second and after the last step, in the first of several processes
            only.
        show: Function that is called with the number of steps done, in the first of several processes only.
        show_every: Steps between calls of `show`; 0 for none.
        save_every: Seconds between checkpoints.

    Returns:
        The moving average of the net, in evaluation mode.

    Raises:
        Diverged: A loss or gradient is not finite; the last checkpoint is older than that.
        Stopped: Ctrl-C was typed or SIGTERM received; the step was finished and the checkpoint saved.
        KeyboardInterrupt: Ctrl-C was typed twice; nothing more was saved.
    """
    reported = saved = time.monotonic()
    started = reported - training.seconds
    steps, processes = training.recipe.steps, training.processes
    with _stop_requests() as stop:
        for batch in batches.since(training.step, steps):
            losses = training.advance(batch)
            now = time.monotonic()
            training.seconds = now - started
            agrees = processes.count == 1 or training.step % _STEPS_BETWEEN_AGREEMENTS == 0
            is_stopped = processes.any(stop.is_set()) if agrees else False
            is_last = is_stopped or training.step == steps
            is_saved = is_last or now - saved >= save_every
            if is_saved or now - reported >= _REPORT_SECONDS:
                reported = now
                values = _finite(losses, training.step, folder)
                if processes.is_first:
                    report(TrainingProgress(training.step, steps, training.seconds, values))
            if is_saved:
                saved = now
                if processes.is_first:
                    save(training, folder)
            if is_stopped:
                raise Stopped(
                    f"stopped at step {training.step}; the checkpoint is in {folder}: add --resume {folder} to go on"
                )
            if show is not None and show_every and training.step % show_every == 0 and processes.is_first:
                show(training.step)
    return training.average


@contextlib.contextmanager
def _stop_requests() -> Iterator[threading.Event]:
    """Yield an event that the first Ctrl-C or SIGTERM sets, so that no step is cut in half.

    The second signal acts as it did before.
    """
    stop = threading.Event()
    signals = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    previous = {number: signal.getsignal(number) for number in signals}

    def request(number: int, _frame: object) -> None:
        stop.set()
        signal.signal(number, previous[signal.Signals(number)])

    for number in signals:
        signal.signal(number, request)
    try:
        yield stop
    finally:
        for number in signals:
            signal.signal(number, previous[number])


def _finite(losses: Mapping[str, Tensor], step: int, folder: Path) -> dict[str, float]:
    values = {name: float(value) for name, value in losses.items()}
    for name, value in values.items():
        if not math.isfinite(value):
            kept = f"the checkpoint in {folder} is from before" if has_checkpoint(folder) else "nothing was saved yet"
            raise Diverged(f"{name} is {value} at step {step}; {kept}; train anew with a lower learning rate")
    return values
