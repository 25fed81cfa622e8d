"""The workshop, with which all styles of a gallery are trained, and the events that are reported meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Self

import torch

from model_store.store import Store
from trainer.evaluation.tap_errors import Measured
from trainer.training.loop import TrainingProgress


@dataclass(frozen=True)
class Workshop:
    """The photos, store, folder and settings that all styles of a gallery are trained with.

    It can be sent to another process.
    """

    photos: Sequence[str]
    """Folders, tars or patterns of tars, as for `find_photos`."""
    held_out: int
    """Number of photos kept from training, to measure on."""
    store: Store
    """Store that nets are taken from and published to."""
    folder: Path
    """Folder in which each style has a folder for its run."""
    device: torch.device
    command: str
    """Command line for the cards."""
    previews: Sequence[Path] = ()
    """Photos that previews are made from; the preview of the first is also published with each net."""
    preview_every: int = 0
    """Steps between previews; 0 for none."""
    save_every: float = 60.0
    """Seconds between checkpoints."""
    gatys_photos: int = 0
    """Number of photos held out for which pictures are also optimised, in 100 iterations each, for the cards."""
    deadline: float | None = None
    """Time at which all styles are to be trained, in seconds since the epoch; None if styles train all their steps."""
    stream: bool | None = None
    """Whether to decode photos whenever they are needed, as for `open_style_run`."""
    compiled: bool | None = None
    """Whether to compile the losses, as for `open_style_run`."""

    def until(self, deadline: float) -> Self:
        """Return the same workshop with a deadline."""
        return replace(self, deadline=deadline)


class Advanced(NamedTuple):
    """The event that a style was trained further."""

    style: str
    progress: TrainingProgress


class Measuring(NamedTuple):
    """The event that a style is trained; it is now measured, then published unless it is worse than the old net."""

    style: str


class Published(NamedTuple):
    """The event that a style is in the store."""

    style: str
    label: str
    """Label of the net, as in stylize/muse@2."""
    measured: Measured | None = None
    """Errors of the net; None if it was published earlier, or no photos are held out."""


class Failed(NamedTuple):
    """The event that a style will not be published this time."""

    style: str
    reason: str


Event = Advanced | Measuring | Published | Failed
