"""Plans: the choices made when a style of a gallery begins, kept in the folder of its run for when it is resumed."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trainer.errors import BadRun
from trainer.galleries.gallery_file import Style
from trainer.recipes import StyleRecipe, changed
from trainer.training.checkpoint import Saved, published_label, read_saved

_PLAN = "plan.json"
_OF_THE_NET = ("architecture", "width", "residual_blocks")


class Plan(BaseModel):
    """The plan of a style: the nets that it starts from and is compared with, and the number of its steps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: str | None = Field(description="Label of the net that the style starts from, as in muse@1.")
    old: str | None = Field(description="Label of the net that the new net is compared with, as in muse@1.")
    steps: int = Field(ge=1, description="Number of steps that the style is trained for.")
    recipe_steps: int = Field(
        ge=1, description="Number of steps in the recipe, of which only some may fit in the time."
    )

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read the plan of the run in a folder; return None if it has none yet.

        Raises:
            BadRun: The plan is damaged.
        """
        path = folder / _PLAN
        try:
            return cls.model_validate_json(path.read_bytes()) if path.exists() else None
        except (OSError, ValidationError) as error:
            raise BadRun(f"cannot go on in {folder}: {_PLAN} is damaged: {error}") from error

    def write(self, folder: Path) -> None:
        """Write the plan aside and rename it, so that its file is always whole.

        Raises:
            BadRun: The file cannot be written.
        """
        aside = folder / f"{_PLAN}.writing"
        try:
            aside.write_text(f"{self.model_dump_json(indent=2)}\n")
            aside.replace(folder / _PLAN)
        except OSError as error:
            raise BadRun(f"cannot write the plan of a run to {folder}: {error}") from error


def published_before(style: Style, folder: Path) -> str | None:
    """Return the label that the run in a folder published a style under, as in stylize/muse@2; None if it did not yet.

    Raises:
        BadRun: The style was published with other settings.
        BadGallery: A setting of the style is not valid.
    """
    label, plan, saved = published_label(folder), Plan.read(folder), read_saved(folder)
    if label is not None and plan is not None and saved is not None:
        _require_same(style, plan, saved, label)
    return label


def check_steps(style: Style, recipe: StyleRecipe, plan: Plan) -> None:
    """Make sure that the recipe of a style has as many steps as when the style began.

    Raises:
        BadRun: The recipe has another number of steps.
    """
    if plan.recipe_steps != recipe.steps:
        raise BadRun(_other(style, "begun", "steps", plan.recipe_steps, recipe.steps))


def _require_same(style: Style, plan: Plan, saved: Saved, label: str) -> None:
    recipe = style.recipe({key: saved.identity.get(key) for key in _OF_THE_NET} if plan.start else None)
    check_steps(style, recipe, plan)
    for key, value in recipe.model_dump(mode="json", exclude={"steps", "loss_networks", "precision"}).items():
        if saved.identity.get(key) != value:
            raise BadRun(_other(style, f"published as {label}", key, saved.identity.get(key), value))


def _other(style: Style, what: str, key: str, before: object, now: object) -> str:
    return f"{style.name} was {what} with {key} of {before}, not {now}: give another folder with --run to train it anew"


def with_steps(recipe: StyleRecipe, steps: int) -> StyleRecipe:
    """Return a recipe with another number of steps."""
    return changed(recipe, {"steps": steps})
