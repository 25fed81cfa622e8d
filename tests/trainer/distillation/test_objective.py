"""The objectives of a light net."""

from pathlib import Path

import pytest
import torch

from trainer.data.batches import Batch
from trainer.distillation.objective import DistillationObjective, EndObjective
from trainer.distillation.recipe import LightRecipe
from trainer.objectives.loss_networks import LossNetwork, load_loss_network
from trainer.objectives.style_objective import StyleLosses
from trainer.recipes import StyleRecipe

from ...nets import Identity


@pytest.fixture
def recipe(vgg16_weights: Path) -> LightRecipe:
    return LightRecipe(size=64, feature_window=32, loss_networks=(f"vgg16-caffe:{vgg16_weights}",))


@pytest.fixture
def network(recipe: LightRecipe) -> LossNetwork:
    return load_loss_network(recipe.loss_networks, recipe.feature_taps)


def pairs(photos: torch.Tensor, paintings: torch.Tensor) -> Batch:
    return Batch(torch.cat([photos, paintings], 1), torch.rand(len(photos)))


def test_a_net_that_paints_like_the_full_one_has_no_losses(recipe: LightRecipe, network: LossNetwork) -> None:
    photos = torch.rand(2, 3, 64, 64)
    terms = DistillationObjective(recipe, network).terms(Identity().eval(), pairs(photos, photos))
    assert {name: float(term) for name, term in terms.items()} == {"pixel": 0, "edge": 0, "grid": 0, "feature": 0}


def test_every_difference_from_the_paintings_counts(recipe: LightRecipe, network: LossNetwork) -> None:
    photos, paintings = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64)
    objective = DistillationObjective(recipe, network)
    terms = objective.terms(Identity().eval(), pairs(photos, paintings))
    assert terms.keys() == objective.weights.keys()
    assert min(map(float, terms.values())) > 0.01


def test_without_a_loss_network_pixels_alone_are_compared(recipe: LightRecipe) -> None:
    assert set(DistillationObjective(recipe).weights) == {"pixel", "edge", "grid"}


def test_features_are_compared_in_windows_of_which_any_place_may_be_drawn(
    recipe: LightRecipe, network: LossNetwork
) -> None:
    photos = torch.rand(3, 3, 64, 64)
    paintings = photos.clone()
    paintings[..., :16, :16] += 0.2
    batch = Batch(torch.cat([photos, paintings], 1), torch.tensor([0.0, 0.9999, 0.5]))
    objective = DistillationObjective(recipe, network)
    found = [
        float(objective.terms(Identity().eval(), Batch(*(each[number, None] for each in batch)))["feature"])
        for number in range(3)
    ]
    assert found[0] > 0
    assert found[1] == 0


def test_the_end_has_the_terms_of_the_style_and_those_of_the_paintings(
    recipe: LightRecipe, network: LossNetwork
) -> None:
    taps = {"content_taps": ("relu1_2",), "style_taps": ("relu1_2", "relu2_2")}
    style = StyleRecipe.model_validate({**taps, "loss_networks": recipe.loss_networks})
    losses = StyleLosses(style, network, torch.rand(1, 3, 64, 64))
    distillation = DistillationObjective(recipe, network)
    objective = EndObjective(losses, distillation)
    photos, paintings = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64)
    batch = pairs(photos, paintings)
    terms = objective.terms(Identity().eval(), batch)
    assert terms.keys() == objective.weights.keys()
    own = losses.terms(photos, losses.content(photos))
    assert all(torch.equal(terms[name], own[name]) for name in own)
