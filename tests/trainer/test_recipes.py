"""Recipes: their defaults, schedules, and settings that contradict each other."""

import itertools

import pytest
from pydantic import ValidationError

from trainer.recipes import STYLE_RECIPES, SUPER_RESOLUTION_RECIPES, StyleRecipe, SuperResolutionRecipe


def test_the_rate_warms_up_then_falls_to_its_final_share() -> None:
    recipe = StyleRecipe(steps=1000, learning_rate=1.0, warm_up=0.1, final_rate=0.01)
    rates = [recipe.rate_at(step) for step in range(1000)]
    assert rates[0] == pytest.approx(0.01, abs=0.001)
    assert max(rates) == rates[100] == 1.0
    assert all(a < b for a, b in itertools.pairwise(rates[:101]))
    assert all(a > b for a, b in itertools.pairwise(rates[100:]))
    assert rates[-1] == pytest.approx(0.01, abs=0.001)


def test_a_constant_rate_never_changes() -> None:
    recipe = StyleRecipe(schedule="constant", learning_rate=0.5)
    assert {recipe.rate_at(step) for step in range(0, 5600, 100)} == {0.5}


def test_the_last_part_may_see_larger_photos() -> None:
    recipe = StyleRecipe(steps=10, size=256, late_size=384, late_share=0.3)
    assert [recipe.size_at(step) for step in range(10)] == [256] * 7 + [384] * 3
    assert recipe.largest_size == 384
    assert StyleRecipe().largest_size == 256


def test_default_weights_of_styles_are_those_of_the_best_recipe() -> None:
    recipe = StyleRecipe()
    assert recipe.style_weight / len(recipe.style_taps) == 4
    assert recipe.content_weight / len(recipe.content_taps) == 1


def test_the_papers_style_recipe_is_the_published_one() -> None:
    recipe = STYLE_RECIPES["paper"]
    assert (recipe.architecture, recipe.losses) == ("johnson2016", "absolute")
    assert (recipe.steps, recipe.batch, recipe.learning_rate, recipe.size) == (40_000, 4, 1e-3, 256)
    assert recipe.rate_at(0) == recipe.rate_at(39_999) == 1e-3
    assert recipe.content_taps == ("relu2_2",)
    assert [tap.partition("=")[0] for tap in recipe.style_taps] == ["relu1_2", "relu2_2", "relu3_3", "relu4_3"]
    assert 1.6e4 < recipe.style_weight / recipe.content_weight < 1.8e4


@pytest.mark.parametrize("loss", ["pixel", "feature"])
def test_the_papers_super_resolution_recipe_is_the_published_one(loss: str) -> None:
    recipe = SUPER_RESOLUTION_RECIPES["paper", loss]
    assert recipe.architecture == "johnson2016-super-resolution"
    assert (recipe.steps, recipe.batch, recipe.learning_rate, recipe.patch) == (200_000, 4, 1e-3, 288)
    assert (recipe.degradation, recipe.pixel_loss, recipe.feature_taps) == ("blur", "squared", ("relu2_2",))
    assert (recipe.pixel_weight, recipe.feature_weight) == ((1, 0) if loss == "pixel" else (0, 1))


def test_the_papers_recipes_weigh_alike_at_each_scale_of_the_loss_network() -> None:
    torchvision, caffe = STYLE_RECIPES["paper"], STYLE_RECIPES["paper-caffe"]
    assert caffe.style_weight == 5
    assert torchvision.style_weight == pytest.approx(5 * 57.6**2)
    assert caffe.variation_weight / torchvision.variation_weight == pytest.approx(57.6**2)


@pytest.mark.parametrize("factor", [0, 3, 16])
def test_other_factors_are_refused(factor: int) -> None:
    with pytest.raises(ValidationError, match="the factor must be 2, 4 or 8"):
        SuperResolutionRecipe(factor=factor)


def test_a_recipe_that_minimises_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="the weights of pixels, features, texture and grid are all 0"):
        SuperResolutionRecipe(pixel_weight=0)


def test_windows_of_texture_larger_than_the_patch_are_refused() -> None:
    with pytest.raises(ValidationError, match="texture_window is larger than the patch of 64: make it smaller"):
        SuperResolutionRecipe(patch=64, texture_window=80, texture_weight=1)
