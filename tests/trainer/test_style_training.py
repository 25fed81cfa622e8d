"""What a style net is trained for."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from model_store.nets import StyleNet, TransformNet
from trainer import losses
from trainer.loss_networks import LossNetwork, Tap, load_loss_network
from trainer.photos import load_crops, load_picture
from trainer.style_training import StyleObjective, StyleRecipe
from trainer.training import Schedule, Training, train

CPU = torch.device("cpu")


class Identity(TransformNet):
    """Leaves pictures as they are."""

    def transform(self, pictures: Tensor) -> Tensor:
        return pictures


class Constant(TransformNet):
    """Answers with one picture, whatever it sees."""

    def __init__(self, picture: Tensor) -> None:
        super().__init__()
        self.picture = picture

    def forward(self, pictures: Tensor) -> Tensor:
        return self.picture.expand(len(pictures), -1, -1, -1)


@pytest.fixture
def recipe(vgg19_weights: Path) -> StyleRecipe:
    return StyleRecipe(
        width=4,
        size=32,
        style_size=48,
        loss_networks=(f"vgg19-normalised:{vgg19_weights}",),
        schedule=Schedule(steps=20, batch=3, learning_rate=5e-3),
    )


@pytest.fixture
def network(recipe: StyleRecipe) -> LossNetwork:
    return load_loss_network(recipe.loss_networks, (*recipe.content_taps, *recipe.style_taps))


@pytest.fixture
def objective(recipe: StyleRecipe, network: LossNetwork, style_picture: Path, photos: Path) -> StyleObjective:
    picture = load_picture(style_picture, recipe.style_size)
    return StyleObjective(recipe, network, picture, load_crops(photos, recipe.size).train, CPU)


def test_leaving_photos_alone_has_no_content_error(objective: StyleObjective) -> None:
    terms = objective.terms(Identity().train(), torch.Generator().manual_seed(0))
    assert terms["content"] == 0
    assert terms["style"] > 0.1


def test_answering_with_the_style_picture_has_no_style_error(
    recipe: StyleRecipe, network: LossNetwork, style_picture: Path, photos: Path
) -> None:
    picture = load_picture(style_picture)[..., :32, :32]
    objective = StyleObjective(recipe, network, picture, load_crops(photos, 32).train, CPU)
    terms = objective.terms(Constant(picture), torch.Generator().manual_seed(0))
    assert terms["style"] == pytest.approx(0, abs=1e-6)
    assert terms["content"] > 0.1


def test_relative_terms_are_means_over_taps(
    recipe: StyleRecipe, network: LossNetwork, style_picture: Path, photos: Path
) -> None:
    photo = load_crops(photos, 32).train[:1]
    picture = load_picture(style_picture, recipe.style_size)
    objective = StyleObjective(recipe, network, picture, torch.cat((photo, photo)), CPU)
    answer = torch.rand(1, 3, 32, 32)
    terms = objective.terms(Constant(answer), torch.Generator().manual_seed(1))
    style = [
        losses.relative_style_reconstruction(losses.gram_matrix(features), losses.gram_matrix(network(picture)[tap]))
        for tap, features in network(answer).items()
    ]
    assert len(style) == 7
    torch.testing.assert_close(terms["style"], torch.stack(style).mean())
    torch.testing.assert_close(terms["variation"], losses.mean_squared_variation(answer))


def test_absolute_terms_are_sums_over_taps_as_published(
    recipe: StyleRecipe, network: LossNetwork, style_picture: Path, photos: Path
) -> None:
    recipe = recipe.model_copy(update={"losses": "absolute", "content_taps": ("relu2_1",), "style_taps": ("relu1_1",)})
    picture = load_picture(style_picture, recipe.style_size)
    objective = StyleObjective(recipe, network, picture, load_crops(photos, 32).train, CPU)
    answer = torch.rand(1, 3, 32, 32)
    terms = objective.terms(Constant(answer), torch.Generator())
    tap = Tap("vgg19-normalised", "relu1_1", 1)
    expected = losses.style_reconstruction(
        losses.gram_matrix(network(answer)[tap]), losses.gram_matrix(network(picture)[tap])
    )
    torch.testing.assert_close(terms["style"], expected)
    torch.testing.assert_close(terms["variation"], losses.total_variation(answer))


def test_training_brings_photos_nearer_to_the_style(
    recipe: StyleRecipe, objective: StyleObjective, tmp_path: Path
) -> None:
    training = Training(recipe, CPU)
    assert isinstance(training.net, StyleNet)
    first = float(training.advance(objective)["objective"])
    train(training, objective, tmp_path, lambda _: None)
    last = float(training.advance(objective)["objective"])
    assert last < 0.8 * first


def test_default_weights_are_those_of_the_best_recipe() -> None:
    recipe = StyleRecipe()
    assert recipe.style_weight / len(recipe.style_taps) == 4
    assert recipe.content_weight / len(recipe.content_taps) == 1
