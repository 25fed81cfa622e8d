"""Checkpoints in the folder of a run, written aside and renamed, so that the last one is always whole."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import safetensors.torch
from pydantic import JsonValue
from safetensors import SafetensorError, safe_open
from torch import Tensor

from trainer.errors import BadRun
from trainer.training.training import Training

_CHECKPOINT = "checkpoint.safetensors"
_PUBLISHED = "published.txt"


def save(training: Training, folder: Path) -> None:
    """Write the state of a run as a checkpoint that replaces the last one.

    Raises:
        BadRun: The checkpoint cannot be written, as on a full disk; the last one is still there.
    """
    metadata = {"step": training.step, "seconds": training.seconds, "identity": training.identity}
    aside = folder / f"{_CHECKPOINT}.writing"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        safetensors.torch.save_file(
            training.tensors(), aside, {key: json.dumps(value) for key, value in metadata.items()}
        )
        aside.replace(folder / _CHECKPOINT)
    except (OSError, SafetensorError) as error:
        if aside.is_file():
            aside.unlink()
        raise BadRun(f"cannot write the checkpoint of step {training.step} to {folder}: {error}") from error


class Saved(NamedTuple):
    """The metadata of a checkpoint."""

    step: int
    """Number of steps that were done."""
    seconds: float
    """Seconds spent on these steps."""
    identity: dict[str, JsonValue]
    """Identity of the run; see `Training.identity`."""


def read_saved(folder: Path) -> Saved | None:
    """Read the metadata of the checkpoint in a folder; None if there is no checkpoint.

    Raises:
        BadRun: The checkpoint is damaged.
    """
    return _read(folder / _CHECKPOINT)[0] if has_checkpoint(folder) else None


def restore(training: Training, folder: Path) -> None:
    """Restore the state of a run that `save` wrote into a folder.

    Raises:
        BadRun: There is no checkpoint, it is damaged, or it belongs to another recipe or other data.
    """
    path = folder / _CHECKPOINT
    saved, tensors = _read(path, with_tensors=True)
    _require_same(path, saved.identity, training.identity)
    training.load_tensors(tensors)
    training.step, training.seconds = saved.step, saved.seconds


def mark_published(folder: Path, label: str) -> None:
    """Write the label that a run was published under into its folder, so that it is not published twice."""
    (folder / _PUBLISHED).write_text(f"{label}\n")


def published_label(folder: Path) -> str | None:
    """Return the label that a run was published under, as in `stylize/muse@3`; None if it was not published."""
    path = folder / _PUBLISHED
    return path.read_text().strip() if path.exists() else None


def has_checkpoint(folder: Path) -> bool:
    """Return whether a folder has a checkpoint."""
    return (folder / _CHECKPOINT).exists()


def prepare_folder(folder: Path, *, resume: bool) -> None:
    """Make sure that a run can begin or be resumed in a folder, and make the folder if there is none.

    Raises:
        BadRun: The folder cannot be written to; it holds an earlier run, and this one is not to resume it; or the run
            to resume does not exist or was published already.
    """
    label = published_label(folder)
    if resume and label is not None:
        raise BadRun(f"the run in {folder} has ended and was published as {label}: start another with --run")
    if resume and not has_checkpoint(folder):
        raise BadRun(f"there is no run to resume in {folder}")
    if not resume and has_checkpoint(folder):
        raise BadRun(
            f"{folder} holds an earlier run: add --resume {folder} to go on with it, or give another folder with --run"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            (folder / _PUBLISHED).unlink(missing_ok=True)
    except OSError as error:
        raise BadRun(f"cannot write checkpoints to {folder}: {error}") from error


def _read(path: Path, *, with_tensors: bool = False) -> tuple[Saved, dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = {key: json.loads(value) for key, value in (file.metadata() or {}).items()}
            saved = Saved(*(metadata[key] for key in Saved._fields))
            keys = file.keys() if with_tensors else ()
            return saved, {key: file.get_tensor(key) for key in keys}
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise BadRun(f"cannot resume from {path}: {error}") from error


def _require_same(path: Path, saved: Mapping[str, object], wanted: Mapping[str, object]) -> None:
    for key in {**saved, **wanted}:
        if saved.get(key) != wanted.get(key):
            raise BadRun(
                f"{path} is of a run whose {key} was {saved.get(key)}, not {wanted.get(key)}: resume it as it was, or "
                "start another with --run"
            )
