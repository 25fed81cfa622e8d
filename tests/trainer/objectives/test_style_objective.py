"""The objective of a style net."""

from pathlib import Path

import pytest
import torch

from model_store.nets import StyleNet
from trainer.data.batches import Batch, Batches
from trainer.data.photos import load_picture
from trainer.data.squares import load_crops
from trainer.objectives import losses
from trainer.objectives.loss_networks import LossNetwork, Tap, load_loss_network
from trainer.objectives.style_objective import StyleLosses, StyleObjective, parts
from trainer.recipes import StyleRecipe
from trainer.training.loop import train
from trainer.training.processes import Processes
from trainer.training.training import Training

from ...nets import Constant, Identity

CPU = torch.device("cpu")


@pytest.fixture
def recipe(vgg19_weights: Path) -> StyleRecipe:
    return StyleRecipe(
        width=4,
        size=32,
        style_size=48,
        loss_networks=(f"vgg19-normalised:{vgg19_weights}",),
        steps=20,
        batch=3,
        learning_rate=5e-3,
    )


@pytest.fixture
def network(recipe: StyleRecipe) -> LossNetwork:
    return load_loss_network(recipe.loss_networks, (*recipe.content_taps, *recipe.style_taps))


@pytest.fixture
def batch(photos: Path) -> Batch:
    return Batch(load_crops([photos], 32).train.decode()[:3] / 255, torch.rand(3))


@pytest.fixture
def objective(recipe: StyleRecipe, network: LossNetwork, style_picture: Path) -> StyleObjective:
    return StyleObjective(StyleLosses(recipe, network, load_picture(style_picture, recipe.style_size)))


def test_leaving_photos_alone_has_no_content_error(objective: StyleObjective, batch: Batch) -> None:
    terms = objective.terms(Identity().train(), batch)
    assert terms["content"] == 0
    assert terms["style"] > 0.1


def test_answering_with_the_style_picture_has_no_style_error(
    recipe: StyleRecipe, network: LossNetwork, style_picture: Path, batch: Batch
) -> None:
    picture = load_picture(style_picture)[..., :32, :32]
    terms = StyleObjective(StyleLosses(recipe, network, picture)).terms(Constant(picture), batch)
    assert terms["style"] == pytest.approx(0, abs=1e-6)
    assert terms["content"] > 0.1


def test_relative_terms_are_means_over_taps(
    recipe: StyleRecipe, network: LossNetwork, style_picture: Path, objective: StyleObjective, batch: Batch
) -> None:
    picture = load_picture(style_picture, recipe.style_size)
    answer = torch.rand(1, 3, 32, 32)
    terms = objective.terms(Constant(answer), batch)
    style = [
        losses.relative_style_reconstruction(losses.gram_matrix(features), losses.gram_matrix(network(picture)[tap]))
        for tap, features in network(answer).items()
    ]
    assert len(style) == 7
    torch.testing.assert_close(terms["style"], torch.stack(style).mean())
    torch.testing.assert_close(terms["variation"], losses.mean_squared_variation(answer))


def test_absolute_terms_are_sums_over_taps_as_published(
    recipe: StyleRecipe, network: LossNetwork, style_picture: Path, batch: Batch
) -> None:
    recipe = recipe.model_copy(update={"losses": "absolute", "content_taps": ("relu2_1",), "style_taps": ("relu1_1",)})
    picture = load_picture(style_picture, recipe.style_size)
    answer = torch.rand(1, 3, 32, 32)
    terms = StyleObjective(StyleLosses(recipe, network, picture)).terms(Constant(answer), batch)
    tap = Tap("vgg19-normalised", "relu1_1", 1)
    expected = losses.style_reconstruction(
        losses.gram_matrix(network(answer)[tap]), losses.gram_matrix(network(picture)[tap])
    )
    torch.testing.assert_close(terms["style"], expected)
    torch.testing.assert_close(terms["variation"], losses.total_variation(answer))


def test_light_and_dark_count_if_the_recipe_weighs_them(
    recipe: StyleRecipe, network: LossNetwork, style_picture: Path, batch: Batch
) -> None:
    picture = load_picture(style_picture, recipe.style_size)
    answer = torch.rand(1, 3, 32, 32)

    def objective(weight: float) -> StyleObjective:
        return StyleObjective(StyleLosses(recipe.model_copy(update={"luma_weight": weight}), network, picture))

    assert "luma" not in objective(0.0).terms(Constant(answer), batch)
    weighed = objective(4.0)
    assert weighed.weights["luma"] == 4
    answers = answer.expand(len(batch.pictures), -1, -1, -1)
    expected = losses.light_and_dark(answers, batch.pictures)
    torch.testing.assert_close(weighed.terms(Constant(answer), batch)["luma"], expected)


def test_a_tap_counts_by_its_weight(
    recipe: StyleRecipe, network: LossNetwork, style_picture: Path, batch: Batch
) -> None:
    picture = load_picture(style_picture, recipe.style_size)
    answer = Constant(torch.rand(1, 3, 32, 32))

    def style(*taps: str) -> float:
        weighed = recipe.model_copy(update={"style_taps": taps})
        return float(StyleObjective(StyleLosses(weighed, network, picture)).terms(answer, batch)["style"])

    one, other = style("relu1_1"), style("relu2_1/2")
    assert style("relu1_1=3", "relu2_1/2=0.5") == pytest.approx((3 * one + 0.5 * other) / 2)


@pytest.mark.training
def test_training_brings_photos_nearer_to_the_style(
    recipe: StyleRecipe, objective: StyleObjective, photos: Path, tmp_path: Path
) -> None:
    squares = load_crops([photos], 32).train
    batches = Batches(squares, parts(recipe, squares), recipe.size_at, CPU)
    training = Training(recipe, objective, Processes(CPU))
    assert isinstance(training.net, StyleNet)
    batch = next(batches.since(0, 1))
    first = float(training.advance(batch)["objective"])
    train(training, batches, tmp_path, lambda _: None)
    assert float(training.advance(batch)["objective"]) < 0.8 * first


@pytest.mark.parametrize(
    ("augmentation", "sides", "ways"),
    [("none", {40}, {0}), ("flip", {40}, {0, 4}), ("crop", set(range(24, 41)), {0, 4})],
)
def test_photos_are_seen_as_the_augmentation_says(
    photos: Path, augmentation: str, sides: set[int], ways: set[int]
) -> None:
    recipe = StyleRecipe.model_validate({"augmentation": augmentation})
    views = parts(recipe, load_crops([photos], 40).train)
    drawn = [view for step in range(200) for view in views.draw(step)[0]]
    assert {view.side for view in drawn} == sides
    assert {view.way for view in drawn} == ways
