"""What is decided when a style of a gallery begins, kept in its run's folder so that it goes on as it began."""

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
    """The nets that a style has to do with, and how long it is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: str | None = Field(description="The net that it starts from, as in muse@1.")
    old: str | None = Field(description="The net that it is compared with, likewise.")
    steps: int = Field(ge=1, description="How many it is trained for.")
    recipe_steps: int = Field(ge=1, description="How many its recipe had, where only some fit into the time.")

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Reads the plan of the run in a folder; None if it has none yet.

        Raises:
            BadRun: the plan is damaged.
        """
        path = folder / _PLAN
        try:
            return cls.model_validate_json(path.read_bytes()) if path.exists() else None
        except (OSError, ValidationError) as error:
            raise BadRun(f"cannot go on in {folder}: {_PLAN} is damaged: {error}") from error

    def write(self, folder: Path) -> None:
        """Writes the plan aside and renames it, so that it is always whole.

        Raises:
            BadRun: it cannot be written.
        """
        aside = folder / f"{_PLAN}.writing"
        try:
            aside.write_text(f"{self.model_dump_json(indent=2)}\n")
            aside.replace(folder / _PLAN)
        except OSError as error:
            raise BadRun(f"cannot write the plan of a run to {folder}: {error}") from error


def published_before(style: Style, folder: Path) -> str | None:
    """What a style was published as by the run in a folder, as in stylize/muse@2; None if it was not yet.

    Raises:
        BadRun: its settings were others then.
        BadGallery: its settings cannot be.
    """
    label, plan, saved = published_label(folder), Plan.read(folder), read_saved(folder)
    if label is not None and plan is not None and saved is not None:
        _require_same(style, plan, saved, label)
    return label


def check_steps(style: Style, recipe: StyleRecipe, plan: Plan) -> None:
    """Makes sure that the steps of a style's recipe are still those that it began with.

    Raises:
        BadRun: they are not.
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
    """The recipe with another number of steps."""
    return changed(recipe, {"steps": steps})
