"""Checkpoints in the folder of a run: written aside and renamed, so that the last one is always whole."""

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
    """Writes the state of a run over the last checkpoint.

    Raises:
        BadRun: it cannot be written, as on a full disk; the last one is still there.
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
    """What a checkpoint says of its run."""

    step: int
    """Steps done."""
    seconds: float
    """Spent on them."""
    identity: dict[str, JsonValue]
    """As `Training.identity`."""


def read_saved(folder: Path) -> Saved | None:
    """What the checkpoint in a folder says of its run; None if there is none.

    Raises:
        BadRun: it is damaged.
    """
    return _read(folder / _CHECKPOINT)[0] if has_checkpoint(folder) else None


def restore(training: Training, folder: Path) -> None:
    """Takes a run back to where `save` was called.

    Raises:
        BadRun: there is no checkpoint, it is damaged, or it belongs to another recipe or other data.
    """
    path = folder / _CHECKPOINT
    saved, tensors = _read(path, with_tensors=True)
    _require_same(path, saved.identity, training.identity)
    training.load_tensors(tensors)
    training.step, training.seconds = saved.step, saved.seconds


def mark_published(folder: Path, label: str) -> None:
    """Notes what became of a run, so that it is not published twice."""
    (folder / _PUBLISHED).write_text(f"{label}\n")


def published_label(folder: Path) -> str | None:
    """What a run was published as, as in `stylize/muse@3`; None if it was not yet."""
    path = folder / _PUBLISHED
    return path.read_text().strip() if path.exists() else None


def has_checkpoint(folder: Path) -> bool:
    """Whether a run was saved there."""
    return (folder / _CHECKPOINT).exists()


def prepare_folder(folder: Path, *, resume: bool) -> None:
    """Makes sure that a run can begin, or go on, in a folder.

    Raises:
        BadRun: it cannot be written to, holds another run, or holds none to resume or one that was published already.
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
