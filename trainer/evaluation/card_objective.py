"""The objective of a style net, read from its card."""

from collections.abc import Mapping

from pydantic import JsonValue, ValidationError

from trainer.errors import BadRecipe
from trainer.recipes import StyleRecipe

_OF_THE_OBJECTIVE = (
    "style_size",
    "loss_networks",
    "content_taps",
    "style_taps",
    "losses",
    "content_weight",
    "style_weight",
    "variation_weight",
    "luma_weight",
)
"""Settings of a style's recipe that its objective consists of."""


def objective_of(card: Mapping[str, JsonValue], options: Mapping[str, object]) -> StyleRecipe:
    """Return the objective of a net from the recipe on its card; a missing setting has the default of `StyleRecipe`.

    The objective of a light net is that of the last part of its training.

    Args:
        card: Recipe on the card.
        options: Settings that replace those of the card, or add to them.

    Raises:
        BadRecipe: A setting of the card or an option is not valid.
    """
    end = card.get("end")
    settings = end if isinstance(end, dict) else card
    said = {field: settings[field] for field in _OF_THE_OBJECTIVE if field in settings}
    try:
        return StyleRecipe.model_validate({**said, **options})
    except ValidationError as error:
        wrong = ", ".join(".".join(map(str, each["loc"])) for each in error.errors())
        raise BadRecipe(f"the recipe of the card cannot be used: give other values of {wrong}") from error
