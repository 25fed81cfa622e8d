"""The state of a training run, and the step that advances it."""

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from pydantic import JsonValue
from torch import Tensor, nn

from model_store.nets import StyleNet, TransformNet, build
from trainer.data.batches import Batch
from trainer.objectives.losses import weighted_sum
from trainer.recipes import Recipe
from trainer.training.captured_step import CapturedStep, Step
from trainer.training.cpu_style_net import CpuStyleNet
from trainer.training.processes import Processes

_PICTURES_WORTH_COMPILING = 24_000
"""Pictures in a run for which compiling saves time: on one H200 it takes 44 s and saves 2 ms for each picture."""

_COMPILER: dict[str, str | int | bool | Callable[..., Any]] = {"force_layout_optimization": True}
"""Options of the compiler; without this one, half of the compiled step is spent on copies between memory layouts."""


class Objective(Protocol):
    """The objective of a net, which training minimises."""

    @property
    def weights(self) -> Mapping[str, float]:
        """Return the weight of each term, keyed by its name."""

    def terms(self, net: TransformNet, batch: Batch) -> dict[str, Tensor]:
        """Return the named scalar losses of the net on a batch, each a mean over its pictures."""


class Training:
    """The state of a run: a net, the moving average of its weights and the optimiser; it can be saved and restored.

    A step in a single process on CUDA is one CUDA graph, whose losses are compiled first where the run is long enough
    to save time.

    Args:
        recipe: Recipe that the net is built and trained with.
        objective: Objective to minimise.
        processes: Processes that train the net.
        start: Weights to start from instead of random ones.
        compiled: Whether to compile the losses; if not given, they are where the run is long enough to save time.
    """

    def __init__(
        self,
        recipe: Recipe,
        objective: Objective,
        processes: Processes,
        start: Mapping[str, Tensor] | None = None,
        *,
        compiled: bool | None = None,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.data: dict[str, JsonValue] = {}
        """SHA-256 of the photos and other data of the run, keyed by what they are; resuming demands the same."""
        self.processes = processes
        self.device = processes.device
        self.precision = _precision(recipe.precision, self.device)
        self.step = 0
        self.seconds = 0.0
        self.net = build(recipe.architecture, recipe.parameters)
        if start is not None:
            self.net.load_state_dict(start)
        self.net.to(self.device).train()
        self.average = copy.deepcopy(self.net).eval().requires_grad_(requires_grad=False)
        self._parameters = list(self.net.parameters())
        self._rate, self._decay = (torch.zeros((), device=self.device) for _ in range(2))
        on_cuda = self.device.type == "cuda"
        self._optimiser = torch.optim.Adam(self._parameters, self._rate, fused=True, capturable=on_cuda)
        self._objective = objective
        is_alone = processes.count == 1
        pays = on_cuda and is_alone and recipe.steps * recipe.batch >= _PICTURES_WORTH_COMPILING
        compiles = pays if compiled is None else compiled
        has_form = not on_cuda and not compiles
        form = CpuStyleNet(self.net) if has_form and isinstance(self.net, StyleNet) else self.net
        self._shared_net = processes.share(form)
        self._terms = torch.compile(objective.terms, dynamic=False, options=_COMPILER) if compiles else objective.terms
        self._train_on: Step = CapturedStep(self._eager_step) if on_cuda and is_alone else self._eager_step

    def advance(self, batch: Batch) -> dict[str, Tensor]:
        """Take one step, without waiting for the device.

        Returns:
            The unweighted terms of the objective; their weighted sum as `objective`; and the norm of the gradient
            before clipping as `gradient`. The next step may overwrite them.
        """
        self._rate.fill_(self.recipe.rate_at(self.step))
        self._decay.fill_(min(self.recipe.ema, (1 + self.step) / (10 + self.step)))
        losses = self._train_on(batch)
        self.step += 1
        return losses

    def end(self) -> None:
        """Leave the other processes after the last step, and drop the shared net, which keeps gloo's threads alive."""
        self._shared_net = self.net
        self.processes.leave()

    def tensors(self) -> dict[str, Tensor]:
        """Return the state of the run as named tensors, from which `load_tensors` restores it."""
        tensors = {f"net.{key}": value for key, value in self.net.state_dict().items()}
        tensors |= {f"average.{key}": value for key, value in self.average.state_dict().items()}
        for name, parameter in self.net.named_parameters():
            state = self._optimiser.state[parameter]
            tensors |= {f"optimiser.{name}.{key}": value for key, value in state.items()}
        return {key: value.contiguous() for key, value in tensors.items()}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the state of the run from what `tensors` returned."""
        self.net.load_state_dict(_under("net.", tensors))
        self.average.load_state_dict(_under("average.", tensors))
        for name, parameter in self.net.named_parameters():
            state = _under(f"optimiser.{name}.", tensors)
            self._optimiser.state[parameter] = {key: value.to(self.device) for key, value in state.items()}

    @property
    def identity(self) -> dict[str, JsonValue]:
        """Return the settings and data that must be the same for a run to be resumed."""
        where: dict[str, JsonValue] = {"device": self.device.type, "processes": self.processes.count}
        recipe = self.recipe.model_dump(mode="json", exclude={"loss_networks"})
        return {**recipe, "precision": self.precision, **where, **self.data}

    def _eager_step(self, batch: Batch) -> dict[str, Tensor]:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            terms = self._terms(self._shared_net, batch)
        total = weighted_sum(terms, self._objective.weights)
        self._optimiser.zero_grad(set_to_none=True)
        self.processes.backward(total)
        gradient = nn.utils.clip_grad_norm_(self._parameters, self.recipe.gradient_norm or math.inf)
        self._optimiser.step()
        self._update_average()
        values = torch.stack([*terms.values(), total, gradient]).detach()
        return dict(zip((*terms, "objective", "gradient"), self.processes.mean(values), strict=True))

    @torch.no_grad()
    def _update_average(self) -> None:
        for average, parameter in zip(self.average.parameters(), self._parameters, strict=True):
            average.lerp_(parameter, 1 - self._decay)
        for averaged_buffer, buffer in zip(self.average.buffers(), self.net.buffers(), strict=True):
            averaged_buffer.copy_(buffer)


def _precision(choice: str, device: torch.device) -> str:
    if choice != "auto":
        return choice
    has_bfloat16 = (
        torch.cuda.is_bf16_supported(including_emulation=False)
        if device.type == "cuda"
        else torch.cpu._is_avx512_bf16_supported()
    )
    return "bfloat16" if has_bfloat16 else "float32"


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
