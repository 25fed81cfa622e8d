"""A run of either task, from its first or saved step to the published net."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from model_store.card import Card, Draft
from model_store.nets import TransformNet
from model_store.store import Store, stored
from trainer.data.batches import Batches
from trainer.data.photos import load_picture
from trainer.pictures.previews import PREVIEW_SIDE, preview, to_jpeg
from trainer.training import loop
from trainer.training.checkpoint import mark_published, restore
from trainer.training.run_log import RunLog, Shown
from trainer.training.training import Training


@dataclass(frozen=True)
class Keeping:
    """The files that a run keeps, and their folder."""

    folder: Path
    """Existing folder for checkpoints, logs and previews."""
    shown: Sequence[Shown] = ()
    """Photos that previews are made from; the preview of the first is also published with the net."""
    preview_every: int = 0
    """Steps between previews in the folder; 0 for none."""
    save_every: float = 60.0
    """Seconds between checkpoints."""


def load_shown(paths: Sequence[Path]) -> list[Shown]:
    """Load the photos that previews are made from.

    Raises:
        BadPhotos: A photo cannot be read.
    """
    return [Shown(path.stem, load_picture(path, PREVIEW_SIDE)) for path in paths]


def carry_out(
    training: Training,
    batches: Batches,
    keeping: Keeping,
    report: Callable[[loop.TrainingProgress], None] = lambda _: None,
    *,
    resume: bool = False,
) -> TransformNet:
    """Train to the last step and return the net with its weights rounded as the store keeps them.

    Args:
        training: State of the run at its first step.
        batches: Batches of the run.
        keeping: Files that the run keeps, and their folder.
        report: Function that is called about twice a second and after the last step, in the first of several processes
            only.
        resume: Whether to go on from the checkpoint in the folder.

    Raises:
        BadRun: The checkpoint cannot be read or written, or belongs to another run.
        Diverged: A loss or gradient is not finite.
        Stopped: Ctrl-C was typed or SIGTERM received; the checkpoint was saved.
    """
    if resume:
        restore(training, keeping.folder)
    log = RunLog(keeping.folder, training.step, keeping.shown) if training.processes.is_first else None

    def note(progress: loop.TrainingProgress) -> None:
        report(progress)
        if log is not None:
            log.losses(progress, training.recipe.rate_at(progress.step - 1))

    def show(step: int) -> None:
        if log is not None:
            log.previews(training.average, step)

    try:
        net = loop.train(
            training,
            batches,
            keeping.folder,
            note,
            show=show,
            show_every=keeping.preview_every,
            save_every=keeping.save_every,
        )
    finally:
        if log is not None:
            log.close()
    training.end()
    net.load_state_dict(stored(net.state_dict()))
    return net


def publish(draft: Draft, net: TransformNet, store: Store, keeping: Keeping) -> Card:
    """Publish the net of a run, with a preview if there is a photo for it, and write its label into the run's folder.

    Raises:
        CannotPublish: The store cannot be written to, or refuses the net.
    """
    jpeg = to_jpeg(preview(net, keeping.shown[0].photo)) if keeping.shown else None
    card = store.publish(draft, net.state_dict(), jpeg)
    mark_published(keeping.folder, f"{card.task}/{card.label}")
    return card
