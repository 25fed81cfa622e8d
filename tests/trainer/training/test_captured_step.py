"""Training steps that are captured as CUDA graphs; these tests need a GPU."""

import pytest
import torch
from torch import Tensor

from model_store.nets import TransformNet
from trainer.data.batches import Batch
from trainer.recipes import StyleRecipe
from trainer.training.processes import Processes
from trainer.training.training import Training

pytestmark = pytest.mark.cuda


class Brightness:
    """An objective that is lowest for bright pictures."""

    weights = {"darkness": 1.0}  # noqa: RUF012

    def terms(self, net: TransformNet, batch: Batch) -> dict[str, Tensor]:
        return {"darkness": (1 - net(batch.pictures)).square().mean()}


def losses(device: str, sizes: list[int]) -> list[float]:
    recipe = StyleRecipe(width=8, residual_blocks=1, steps=len(sizes), batch=2, precision="float32")
    training = Training(recipe, Brightness(), Processes(torch.device(device)))
    draws = torch.Generator().manual_seed(0)
    values = []
    for size in sizes:
        pictures = torch.rand(2, 3, size, size, generator=draws).to(device)
        values.append(float(training.advance(Batch(pictures, torch.rand(2).to(device)))["objective"]))
    return values


def test_a_captured_step_trains_like_one_that_is_not_captured() -> None:
    sizes = [32] * 12
    assert losses("cuda", sizes) == pytest.approx(losses("cpu", sizes), rel=1e-2)


def test_every_size_has_its_own_graph() -> None:
    sizes = [32] * 6 + [48] * 6 + [32] * 3
    assert losses("cuda", sizes) == pytest.approx(losses("cpu", sizes), rel=1e-2)
