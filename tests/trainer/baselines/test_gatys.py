"""The optimisation of a picture by projected L-BFGS."""

import itertools
from pathlib import Path

import pytest
import torch
from torch import Tensor

from trainer.baselines.gatys import Iteration, noise, optimise, style_objective
from trainer.data.photos import load_picture
from trainer.errors import Diverged
from trainer.objectives.loss_networks import load_loss_network
from trainer.objectives.style_objective import StyleLosses
from trainer.recipes import StyleRecipe

pytestmark = pytest.mark.training


def distance(picture: Tensor, target: Tensor) -> Tensor:
    """Return a quadratic whose axes differ in length, so that steepest descent would be slow."""
    return (torch.linspace(1, 10, target.numel()).view(target.shape) * (picture - target).square()).sum()


def run(start: Tensor, target: Tensor, iterations: int) -> list[Iteration]:
    return list(optimise(start, lambda picture: distance(picture, target), iterations))


def test_the_optimum_is_found_within_the_range() -> None:
    target = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    last = run(noise(target, 0), target, 60)[-1]
    torch.testing.assert_close(last.picture, target, atol=1e-3, rtol=0)


def test_every_picture_is_in_the_range_though_the_optimum_is_not() -> None:
    target = torch.full((1, 3, 8, 8), 0.5)
    target[..., :4] = 1.5
    target[..., :2] = -0.5
    iterations = run(noise(target, 0), target, 60)
    assert all(each.picture.min() >= 0 and each.picture.max() <= 1 for each in iterations)
    assert float((iterations[-1].picture - target.clamp(0, 1)).abs().mean()) < 0.01


def test_the_start_is_iteration_0_and_each_objective_is_that_of_its_picture() -> None:
    target = torch.full((1, 3, 4, 4), 0.5)
    start = noise(target, 0)
    kept = start.clone()
    iterations = run(start, target, 3)
    assert [each.number for each in iterations] == [0, 1, 2, 3]
    assert torch.equal(iterations[0].picture, start)
    assert torch.equal(start, kept)
    for _, objective, picture in iterations:
        assert objective == pytest.approx(float(distance(picture, target)))


@pytest.mark.parametrize("factor", [1e-8, 1e8])
def test_the_scale_of_the_objective_does_not_matter(factor: float) -> None:
    target = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    last = list(optimise(noise(target, 0), lambda picture: factor * distance(picture, target), 60))[-1]
    torch.testing.assert_close(last.picture, target, atol=1e-3, rtol=0)


def test_no_step_leaps() -> None:
    target = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    pictures = [each.picture for each in run(noise(target, 0), target, 20)]
    steps = [float((after - before).square().mean().sqrt()) for before, after in itertools.pairwise(pictures)]
    assert max(steps) < 0.051


def test_a_start_that_is_the_optimum_does_not_move() -> None:
    target = torch.full((1, 3, 4, 4), 0.5)
    assert torch.equal(run(target, target, 3)[-1].picture, target)


def test_iterations_are_computed_when_asked_for() -> None:
    calls: list[None] = []

    def objective(picture: Tensor) -> Tensor:
        calls.append(None)
        return picture.square().sum()

    list(itertools.islice(optimise(torch.ones(1, 3, 4, 4), objective, 1000), 3))
    assert len(calls) == 3


def test_an_objective_that_is_not_a_number_is_reported_with_its_iteration() -> None:
    objectives = itertools.chain([1.0, 1.0], itertools.repeat(float("nan")))
    with pytest.raises(Diverged, match="nan at iteration 2"):
        list(optimise(torch.rand(1, 3, 4, 4), lambda picture: picture.sum() * next(objectives), 9))


def test_noise_depends_on_its_seed_alone() -> None:
    picture = torch.zeros(1, 3, 5, 7)
    assert noise(picture, 1).shape == picture.shape
    assert torch.equal(noise(picture, 1), noise(picture, 1))
    assert not torch.equal(noise(picture, 1), noise(picture, 2))
    assert 0 <= noise(picture, 1).min() < noise(picture, 1).max() <= 1


def test_a_photo_is_stylised_from_itself_and_from_noise(photo: Path, style_picture: Path, vgg19_weights: Path) -> None:
    recipe = StyleRecipe(loss_networks=(f"vgg19-normalised:{vgg19_weights}",))
    network = load_loss_network(recipe.loss_networks, (*recipe.content_taps, *recipe.style_taps))
    style_losses = StyleLosses(recipe, network, load_picture(style_picture, 32))
    picture = load_picture(photo, 32)
    ends = []
    for start in (picture, noise(picture, 0)):
        iterations = list(optimise(start, style_objective(style_losses, picture), 60))
        assert iterations[-1].objective < 0.5 * iterations[0].objective
        ends.append(iterations[-1].objective)
    assert ends[0] == pytest.approx(ends[1], rel=0.2)
