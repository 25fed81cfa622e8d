"""The objective of a net, read from its card."""

import pytest

from trainer.errors import BadRecipe
from trainer.evaluation.card_objective import objective_of


def test_settings_of_the_card_are_taken_options_win_and_what_is_missing_has_its_default() -> None:
    recipe = objective_of({"style_weight": 12, "luma_weight": 4, "steps": "many"}, {"luma_weight": 6})
    assert (recipe.style_weight, recipe.luma_weight, recipe.content_weight) == (12, 6, 2)


def test_the_objective_of_a_light_net_is_that_of_the_end_of_its_training() -> None:
    recipe = objective_of({"loss_networks": ["vgg19"], "end": {"style_weight": 12, "loss_networks": ["vgg16"]}}, {})
    assert (recipe.style_weight, recipe.loss_networks) == (12, ("vgg16",))


def test_a_setting_that_is_not_valid_is_named() -> None:
    with pytest.raises(BadRecipe, match="give other values of style_weight"):
        objective_of({"style_weight": "heavy"}, {})
