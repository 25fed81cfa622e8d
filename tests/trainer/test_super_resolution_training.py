"""What a super-resolution net is trained for."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from model_store.nets import TransformNet
from trainer.degradation import degrade
from trainer.errors import BadRecipe
from trainer.photos import load_tiles
from trainer.super_resolution_training import SuperResolutionObjective, SuperResolutionRecipe
from trainer.training import Schedule, Training, train

CPU = torch.device("cpu")


class Recorder(TransformNet):
    """Remembers what it was shown; answers grey."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def transform(self, pictures: Tensor) -> Tensor:
        self.seen = pictures
        return torch.full((len(pictures), 3, *(side * self.factor for side in pictures.shape[-2:])), 0.5)


def recipe(**fields: object) -> SuperResolutionRecipe:
    schedule = Schedule(steps=30, batch=4, learning_rate=2e-3)
    return SuperResolutionRecipe(
        **{"factor": 2, "channels": 8, "residual_blocks": 1, "tile": 64, "patch": 48, "schedule": schedule, **fields}
    )


@pytest.fixture
def tiles(photos: Path) -> Tensor:
    return load_tiles(photos, 64).train


@pytest.mark.parametrize("factor", [2, 4])
def test_the_net_sees_degraded_8_bit_patches(tiles: Tensor, factor: int) -> None:
    net = Recorder(factor)
    wanted = recipe(factor=factor, patch=64, schedule=Schedule(steps=1, batch=4, learning_rate=1))
    SuperResolutionObjective(wanted, tiles[:1], CPU).terms(net, torch.Generator().manual_seed(0))
    ways = [tiles[:1].rot90(turn, (2, 3)) for turn in range(4)]
    known = [degrade(way / 255, factor) for turned in ways for way in (turned, turned.flip(-1))]
    for seen in net.seen:
        assert any(torch.allclose(seen, small[0], atol=1e-6) for small in known)


@pytest.mark.parametrize(("loss", "expected"), [("pixel", 0.25), ("absolute pixel", 0.5)])
def test_the_loss_is_the_one_chosen(loss: str, expected: float) -> None:
    black = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    objective = SuperResolutionObjective(recipe(loss=loss), black, CPU)
    assert objective.terms(Recorder(2), torch.Generator())["pixel"] == pytest.approx(expected)


def test_training_beats_bicubic(tiles: Tensor, tmp_path: Path) -> None:
    chosen = recipe()
    objective = SuperResolutionObjective(chosen, tiles, CPU)
    training = Training(chosen, CPU)
    bicubic = float(training.advance(objective)["pixel"])
    train(training, objective, tmp_path, lambda _: None)
    assert float(training.advance(objective)["pixel"]) < bicubic


@pytest.mark.parametrize("patch", [50, 60, 96])
def test_a_patch_that_does_not_fit_is_refused(tiles: Tensor, patch: int) -> None:
    with pytest.raises(BadRecipe, match=rf"the patch is {patch}: make it a multiple of the factor \(4\) from 64 to 64"):
        SuperResolutionObjective(recipe(factor=4, patch=patch), tiles, CPU)
