"""The training loop: one net, one objective, from a first or a saved step to the last."""

import contextlib
import copy
import json
import math
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import safetensors.torch
import torch
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from model_store.nets import TransformNet, build
from trainer.errors import BadRun, Diverged, Stopped
from trainer.losses import weighted_sum

_CHECKPOINT = "checkpoint.safetensors"


class Schedule(BaseModel):
    """How long and how fast to train: Adam, a linear warm-up, then a cosine."""

    model_config = ConfigDict(frozen=True)

    steps: int = Field(ge=1)
    batch: int = Field(ge=1)
    learning_rate: float = Field(gt=0, description="Of Adam, at its peak.")
    warm_up: float = Field(default=0.03, ge=0, lt=1, description="Share of the steps.")
    final_rate: float = Field(default=0.01, ge=0, le=1, description="Share of the peak at the end.")
    gradient_norm: float = Field(default=20.0, gt=0, description="Gradients are clipped to this norm.")
    ema: float = Field(default=0.999, ge=0, lt=1, description="Decay of the moving average of the weights.")
    seed: int = Field(default=0, ge=0, lt=2**63)

    def rate_at(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        warm_up_steps = self.warm_up * self.steps
        if step < warm_up_steps:
            return self.learning_rate * (step + 1) / (warm_up_steps + 1)
        progress = (step - warm_up_steps) / max(self.steps - warm_up_steps, 1)
        cosine = (1 + math.cos(math.pi * progress)) / 2
        return self.learning_rate * (self.final_rate + (1 - self.final_rate) * cosine)


class Recipe(BaseModel):
    """Everything that decides what a net becomes, besides the pictures."""

    model_config = ConfigDict(frozen=True)

    architecture: str
    schedule: Schedule

    @property
    def parameters(self) -> dict[str, JsonValue]:
        """What the architecture is built with."""
        raise NotImplementedError


class Objective(Protocol):
    """What is minimised."""

    @property
    def weights(self) -> Mapping[str, float]:
        """Weight of each term."""

    def terms(self, net: TransformNet, generator: torch.Generator) -> dict[str, Tensor]:
        """Named scalar losses of the net on a fresh batch, drawn with the generator (on the CPU)."""


class Progress(NamedTuple):
    """Where the loop is."""

    step: int
    """Steps done."""
    losses: dict[str, float]
    """The terms of the last step, unweighted; their weighted sum as `objective`; the norm of its `gradient`."""


class Training:
    """The state of a run, which saves and restores itself whole.

    Args:
        recipe: what to build and how to train it.
        device: where to train.
    """

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        torch.manual_seed(recipe.schedule.seed)
        self.recipe = recipe
        self.schedule = recipe.schedule
        self.data: dict[str, str] = {}
        """sha256 of what it is trained on, by what that is; a run is resumed only with the same."""
        self.device = device
        self.step = 0
        self.seconds = 0.0
        self.net = build(recipe.architecture, recipe.parameters).to(device).train()
        self.average = copy.deepcopy(self.net).requires_grad_(requires_grad=False)
        self.generator = torch.Generator().manual_seed(self.schedule.seed)
        self._parameters = list(self.net.parameters())
        self._optimiser = torch.optim.Adam(self._parameters, self.schedule.learning_rate, fused=True)

    def advance(self, objective: Objective) -> dict[str, Tensor]:
        """One step; returns the losses (see `Progress`) without waiting for the device."""
        for group in self._optimiser.param_groups:
            group["lr"] = self.schedule.rate_at(self.step)
        terms = objective.terms(self.net, self.generator)
        total = weighted_sum(terms, objective.weights)
        self._optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        gradient = nn.utils.clip_grad_norm_(self._parameters, self.schedule.gradient_norm)
        self._optimiser.step()
        self._update_average()
        self.step += 1
        return {name: term.detach() for name, term in (*terms.items(), ("objective", total), ("gradient", gradient))}

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.schedule.ema, (1 + self.step) / (10 + self.step))
        for average, parameter in zip(self.average.parameters(), self._parameters, strict=True):
            average.lerp_(parameter, 1 - decay)
        for averaged_buffer, buffer in zip(self.average.buffers(), self.net.buffers(), strict=True):
            averaged_buffer.copy_(buffer)

    def save(self, folder: Path) -> None:
        """Writes the checkpoint aside and renames it over the last one.

        Raises:
            BadRun: it cannot be written, as on a full disk; the last one is still there.
        """
        metadata = {"step": json.dumps(self.step), "seconds": json.dumps(self.seconds)}
        metadata["identity"] = json.dumps(self._identity())
        aside = folder / f"{_CHECKPOINT}.writing"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            safetensors.torch.save_file(self._tensors(), aside, metadata)
            aside.replace(folder / _CHECKPOINT)
        except (OSError, SafetensorError) as error:
            raise BadRun(f"cannot write the checkpoint of step {self.step} to {folder}: {error}") from error

    def restore(self, folder: Path) -> None:
        """Goes back to where `save` was called.

        Raises:
            BadRun: there is no checkpoint, it is damaged, or it belongs to another recipe or other data.
        """
        path = folder / _CHECKPOINT
        try:
            with safe_open(path, framework="pt", device=str(self.device)) as file:
                metadata = file.metadata()
                saved = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a mapping)
            identity = json.loads(metadata["identity"])
        except (OSError, SafetensorError, TypeError, KeyError) as error:
            raise BadRun(f"cannot resume from {path}: {error}") from error
        _require_same(path, identity, self._identity())
        self.step, self.seconds = json.loads(metadata["step"]), json.loads(metadata["seconds"])
        self.net.load_state_dict(_under("net.", saved))
        self.average.load_state_dict(_under("average.", saved))
        self.generator.set_state(saved["generator"].cpu())
        for name, parameter in self.net.named_parameters():
            self._optimiser.state[parameter] = _under(f"optimiser.{name}.", saved)

    def _identity(self) -> dict[str, JsonValue]:
        """What must be the same for the run to go on."""
        recipe = self.recipe.model_dump(mode="json")
        schedule = recipe.pop("schedule")
        return {**recipe, **schedule, **self.data}

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"net.{key}": value for key, value in self.net.state_dict().items()}
        tensors |= {f"average.{key}": value for key, value in self.average.state_dict().items()}
        for name, parameter in self.net.named_parameters():
            state = self._optimiser.state[parameter]
            tensors |= {f"optimiser.{name}.{key}": value for key, value in state.items()}
        tensors["generator"] = self.generator.get_state()
        return {key: value.contiguous() for key, value in tensors.items()}


def has_checkpoint(folder: Path) -> bool:
    """Whether a run was saved there."""
    return (folder / _CHECKPOINT).exists()


def prepare_folder(folder: Path, *, resume: bool) -> None:
    """Makes sure that a run can begin, or go on, in a folder.

    Raises:
        BadRun: it cannot be written to, holds another run, or holds none to resume.
    """
    if resume and not has_checkpoint(folder):
        raise BadRun(f"there is no run to resume in {folder}")
    if not resume and has_checkpoint(folder):
        raise BadRun(f"{folder} holds an earlier run: add --resume to go on with it, or give another folder with --run")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise BadRun(f"cannot write checkpoints to {folder}: {error}") from error


def train(
    training: Training,
    objective: Objective,
    folder: Path,
    report: Callable[[Progress], None],
    save_every: float = 60.0,
) -> TransformNet:
    """Trains to the last step, saving on the way, at the end and when interrupted.

    Args:
        training: where to start from.
        objective: what to minimise.
        folder: for the checkpoint.
        report: called about twice a second, and after the last step.
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
    with _stop_requests() as stop:
        while training.step < training.schedule.steps:
            losses = training.advance(objective)
            now = time.monotonic()
            training.seconds = now - started
            is_stopped = stop.is_set()
            is_last = is_stopped or training.step == training.schedule.steps
            if is_last or now - reported >= 0.5 or now - saved >= save_every:
                reported = now
                report(Progress(training.step, _finite(losses, training.step, folder)))
            if is_last or now - saved >= save_every:
                saved = now
                training.save(folder)
            if is_stopped:
                raise Stopped(f"stopped at step {training.step}; the checkpoint is in {folder}: add --resume to go on")
    return training.average.eval()


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


@contextlib.contextmanager
def mixed_precision(device: torch.device) -> Iterator[None]:
    """bfloat16 on CUDA, where each kernel still sums in float32; float32 elsewhere."""
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        yield


def _finite(losses: Mapping[str, Tensor], step: int, folder: Path) -> dict[str, float]:
    values = {name: float(value) for name, value in losses.items()}
    for name, value in values.items():
        if not math.isfinite(value):
            kept = f"the checkpoint in {folder} is from before" if has_checkpoint(folder) else "nothing was saved yet"
            raise Diverged(f"{name} is {value} at step {step}; {kept}; train anew with a lower learning rate")
    return values


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _require_same(path: Path, saved: Mapping[str, object], wanted: Mapping[str, object]) -> None:
    for key in {**saved, **wanted}:
        if saved.get(key) != wanted.get(key):
            raise BadRun(
                f"{path} is of a run whose {key} was {saved.get(key)}, not {wanted.get(key)}: resume it as it was, or "
                "start another with --run"
            )
