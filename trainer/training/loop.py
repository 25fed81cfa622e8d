"""The training loop: from a first or a saved step to the last."""

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
_STEPS_BETWEEN_AGREEMENTS = 10


class Progress(NamedTuple):
    """Where the loop is."""

    step: int
    """Steps done."""
    steps: int
    """Of the whole run."""
    seconds: float
    """Spent on them, over all resumptions."""
    losses: dict[str, float]
    """Of the last step, as in `Training.advance`."""


def train(
    training: Training,
    batches: Batches,
    folder: Path,
    report: Callable[[Progress], None],
    *,
    show: Callable[[int], None] | None = None,
    show_every: int = 0,
    save_every: float = 60.0,
) -> TransformNet:
    """Trains to the last step, saving on the way, at the end and when interrupted.

    Args:
        training: where to start from.
        batches: to train on.
        folder: for the checkpoint.
        report: called about twice a second, and after the last step; in the first of several processes only.
        show: called with the number of steps done after every `show_every` of them, likewise.
        show_every: steps; 0 for never.
        save_every: seconds between checkpoints.

    Returns:
        The moving average of the net, in evaluation mode.

    Raises:
        Diverged: a loss or gradient is not finite; the last checkpoint is from before.
        Stopped: asked to (Ctrl-C or SIGTERM); the step was finished and the checkpoint saved.
        KeyboardInterrupt: asked twice; nothing more was saved.
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
                    report(Progress(training.step, steps, training.seconds, values))
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
    """An event set by the first Ctrl-C or SIGTERM, so that a step is never cut in half; the second one is immediate."""
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
