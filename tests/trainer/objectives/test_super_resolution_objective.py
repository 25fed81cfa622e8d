"""The objective of a super-resolution net."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from model_store.nets import TransformNet
from trainer.data.batches import Batch, Batches
from trainer.data.degradation import degrade
from trainer.data.squares import load_tiles
from trainer.errors import BadRecipe
from trainer.objectives import losses
from trainer.objectives.loss_networks import Tap, load_loss_network
from trainer.objectives.super_resolution_objective import SuperResolutionObjective, patches
from trainer.recipes import SuperResolutionRecipe
from trainer.training.loop import train
from trainer.training.processes import Processes
from trainer.training.training import Training

CPU = torch.device("cpu")


class Recorder(TransformNet):
    """A net that remembers its input and returns grey."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def transform(self, pictures: Tensor) -> Tensor:
        self.seen = pictures
        return torch.full((len(pictures), 3, *(side * self.factor for side in pictures.shape[-2:])), 0.5)


def recipe(**fields: object) -> SuperResolutionRecipe:
    small = {"factor": 2, "channels": 8, "residual_blocks": 1, "tile": 64, "patch": 48}
    return SuperResolutionRecipe.model_validate(small | {"steps": 30, "batch": 4, "learning_rate": 2e-3} | fields)


@pytest.fixture
def batch(photos: Path) -> Batch:
    return Batch(load_tiles([photos], 64).train.decode()[:3] / 255, torch.tensor([0.0, 0.4, 0.9]))


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize(("degradation", "sigma"), [("bicubic", 0.0), ("blur", 1.0)])
def test_the_net_sees_degraded_8_bit_patches(batch: Batch, factor: int, degradation: str, sigma: float) -> None:
    net = Recorder(factor)
    SuperResolutionObjective(recipe(factor=factor, degradation=degradation)).terms(net, batch)
    torch.testing.assert_close(net.seen, degrade(batch.pictures, factor, sigma))


def test_a_drawn_degradation_is_of_each_patchs_own_chance(batch: Batch) -> None:
    net = Recorder(2)
    SuperResolutionObjective(recipe(degradation="drawn")).terms(net, batch)
    for seen, picture, chance in zip(net.seen, batch.pictures, batch.chance, strict=True):
        torch.testing.assert_close(seen, degrade(picture[None], 2, 2 * float(chance))[0], atol=1.1 / 255, rtol=0)


@pytest.mark.parametrize(("loss", "expected"), [("squared", 0.25), ("absolute", 0.5)])
def test_the_pixel_loss_is_the_one_chosen(loss: str, expected: float) -> None:
    black = Batch(torch.zeros(2, 3, 64, 64), torch.zeros(2))
    terms = SuperResolutionObjective(recipe(pixel_loss=loss)).terms(Recorder(2), black)
    assert {name: float(term) for name, term in terms.items()} == {"pixel": pytest.approx(expected)}


def test_feature_reconstruction_is_relative_or_as_published(batch: Batch, vgg19_weights: Path) -> None:
    source = f"vgg19-normalised:{vgg19_weights}"
    network = load_loss_network([source], ["relu2_1"])
    tap = Tap("vgg19-normalised", "relu2_1", 1)
    grey = network(torch.full((3, 3, 64, 64), 0.5))[tap]
    truth = network(batch.pictures)[tap]
    expected = {
        "relative": losses.relative_feature_reconstruction(grey, truth),
        "absolute": losses.feature_reconstruction(grey, truth),
    }
    for kind, value in expected.items():
        chosen = recipe(
            losses=kind, feature_taps=("relu2_1",), loss_networks=(source,), feature_weight=1.0, pixel_weight=0.0
        )
        terms = SuperResolutionObjective(chosen, network).terms(Recorder(2), batch)
        assert terms.keys() == {"feature"}
        torch.testing.assert_close(terms["feature"], value)


def test_texture_is_compared_in_windows_of_the_picture_whatever_the_tap(batch: Batch, vgg19_weights: Path) -> None:
    source = f"vgg19-normalised:{vgg19_weights}"
    network = load_loss_network([source], ["relu1_1", "relu2_1"])
    grey, truth = network(torch.full((3, 3, 64, 64), 0.5)), network(batch.pictures)
    sides = {Tap("vgg19-normalised", "relu1_1", 1): 16, Tap("vgg19-normalised", "relu2_1", 1): 8}
    expected = [losses.local_texture(grey[tap], truth[tap], side) for tap, side in sides.items()]
    chosen = recipe(
        patch=64,
        feature_taps=("relu1_1", "relu2_1=3"),
        loss_networks=(source,),
        texture_weight=1.0,
        texture_window=16,
        pixel_weight=0.0,
    )
    terms = SuperResolutionObjective(chosen, network).terms(Recorder(2), batch)
    assert terms.keys() == {"texture"}
    torch.testing.assert_close(terms["texture"], (expected[0] + 3 * expected[1]) / 2)


def test_the_grid_is_that_of_the_small_picture(batch: Batch) -> None:
    terms = SuperResolutionObjective(recipe(factor=4, patch=64, pixel_weight=0.0, grid_weight=1.0)).terms(
        Recorder(4), batch
    )
    assert terms.keys() == {"grid"}
    grey = torch.full_like(batch.pictures, 0.5)
    torch.testing.assert_close(terms["grid"], losses.grid_pattern(grey, batch.pictures, 4))


@pytest.mark.parametrize("term", ["feature_weight", "texture_weight"])
def test_features_without_a_loss_network_are_refused(term: str) -> None:
    with pytest.raises(BadRecipe, match="there is no loss network"):
        SuperResolutionObjective(recipe(**{term: 1.0}))


@pytest.mark.training
def test_training_beats_bicubic(photos: Path, tmp_path: Path) -> None:
    chosen = recipe()
    tiles = load_tiles([photos], 64).train
    batches = Batches(tiles, patches(chosen, tiles), lambda _: chosen.patch, CPU)
    training = Training(chosen, SuperResolutionObjective(chosen), Processes(CPU))
    batch = next(batches.since(0, 1))
    bicubic = float(training.advance(batch)["pixel"])
    train(training, batches, tmp_path, lambda _: None)
    assert float(training.advance(batch)["pixel"]) < bicubic


@pytest.mark.parametrize("patch", [50, 60, 96])
def test_a_patch_that_does_not_fit_is_refused(photos: Path, patch: int) -> None:
    with pytest.raises(BadRecipe, match=rf"the patch is {patch}: make it a multiple of the factor \(4\) from 64 to 64"):
        patches(recipe(factor=4, patch=patch), load_tiles([photos], 64).train)
