"""A run from its first or saved step to the published net, whatever the net is for."""

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
    """What a run keeps on its way, and where."""

    folder: Path
    """Of checkpoints, logs and previews; it is there."""
    shown: Sequence[Shown] = ()
    """Photos that previews are made of; the first is also shown in the store."""
    preview_every: int = 0
    """Steps between previews in the folder; 0 for none."""
    save_every: float = 60.0
    """Seconds between checkpoints."""


def load_shown(paths: Sequence[Path]) -> list[Shown]:
    """Loads the photos that previews are made of.

    Raises:
        BadPhotos: one cannot be read.
    """
    return [Shown(path.stem, load_picture(path, PREVIEW_SIDE)) for path in paths]


def carry_out(
    training: Training,
    batches: Batches,
    keeping: Keeping,
    report: Callable[[loop.Progress], None] = lambda _: None,
    *,
    resume: bool = False,
) -> TransformNet:
    """Trains to the last step and returns the net as the store will keep it.

    Args:
        training: at its first step.
        batches: to train on.
        keeping: the folder, and what is written into it.
        report: called about twice a second and after the last step, in the first of several processes only.
        resume: whether to go on from the checkpoint in the folder.

    Raises:
        BadRun: the checkpoint cannot be read or written, or is of another run.
        Diverged: a loss or gradient is not finite.
        Stopped: asked to by Ctrl-C or SIGTERM; the checkpoint is saved.
    """
    if resume:
        restore(training, keeping.folder)
    log = RunLog(keeping.folder, training.step, keeping.shown) if training.processes.is_first else None

    def note(progress: loop.Progress) -> None:
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
    """Publishes the net of a run, with a preview if there is a photo for it, and notes that in the run's folder.

    Raises:
        CannotPublish: the store does not take it.
    """
    jpeg = to_jpeg(preview(net, keeping.shown[0].photo)) if keeping.shown else None
    card = store.publish(draft, net.state_dict(), jpeg)
    mark_published(keeping.folder, f"{card.task}/{card.label}")
    return card
