"""The fall of the objective while a picture is optimised, and where a net stands on it."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from trainer.baselines.descent import (
    Descent,
    best_so_far,
    descend,
    iteration_equal_to,
    mean_curve,
    mean_terms,
    terms_of,
)
from trainer.baselines.gatys import Iteration
from trainer.data.photos import load_picture
from trainer.objectives.loss_networks import load_loss_network
from trainer.objectives.style_objective import StyleLosses
from trainer.recipes import StyleRecipe


@pytest.fixture
def style_losses(style_picture: Path, vgg19_weights: Path) -> StyleLosses:
    recipe = StyleRecipe(
        loss_networks=(f"vgg19-normalised:{vgg19_weights}",), content_taps=("relu1_1",), style_taps=("relu1_1",)
    )
    network = load_loss_network(recipe.loss_networks, (*recipe.content_taps, *recipe.style_taps))
    return StyleLosses(recipe, network, load_picture(style_picture, 32))


@pytest.fixture
def picture(photo: Path) -> Tensor:
    return load_picture(photo, 32)


def test_the_best_so_far_never_rises() -> None:
    assert best_so_far([5.0, 3.0, 4.0, 2.0, 9.0]) == [5.0, 3.0, 3.0, 2.0, 2.0]


def test_the_mean_is_of_the_best_so_far_of_each_picture() -> None:
    def descent(*objectives: float) -> Descent:
        return Descent(list(objectives), 0.1, {}, torch.zeros(1, 3, 2, 2))

    assert mean_curve([descent(4, 2, 8), descent(2, 2, 0)]) == [3, 2, 1]


@pytest.mark.parametrize(
    ("objective", "number"),
    [(12.0, 0.0), (10.0, 0.0), (7.0, 0.5), (4.0, 1.0), (3.5, 2.25), (2.0, 3.0), (1.9, None)],
)
def test_a_net_equals_an_iteration_interpolated_on_the_curve(objective: float, number: float | None) -> None:
    assert iteration_equal_to(objective, [10.0, 4.0, 4.0, 2.0]) == number


def test_a_descent_has_its_objectives_and_its_best_picture_with_the_terms(
    style_losses: StyleLosses, picture: Tensor
) -> None:
    seen: list[int] = []

    def watch(steps: Iterator[Iteration]) -> Iterable[Iteration]:
        for step in steps:
            seen.append(step.number)
            yield step

    descent = descend(picture, picture, style_losses, 5, watch)
    assert seen == [0, 1, 2, 3, 4, 5]
    assert len(descent.objectives) == 6
    assert descent.terms["objective"] == pytest.approx(min(descent.objectives), rel=1e-4)
    assert descent.picture.shape == picture.shape
    assert descent.seconds > 0


def test_the_objective_is_the_weighted_sum_of_the_terms(style_losses: StyleLosses, picture: Tensor) -> None:
    terms = terms_of(picture, picture, style_losses)
    assert terms["content"] == 0
    assert terms["objective"] == pytest.approx(
        sum(weight * terms[name] for name, weight in style_losses.weights.items())
    )


def test_terms_are_means_over_pictures() -> None:
    assert mean_terms([{"content": 1.0, "objective": 3.0}, {"content": 2.0, "objective": 7.0}]) == {
        "content": 1.5,
        "objective": 5.0,
    }
