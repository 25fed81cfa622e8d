"""The model card: what a model is, how it was made and how good it measured to be."""

import re
from datetime import datetime
from typing import Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from model_store.errors import BadLabel

Task = Literal["stylize", "super-resolve"]
TASKS: tuple[Task, ...] = get_args(Task)
SMALLEST_SIDE = 16
"""Pixels of the shortest side of a picture that every net takes."""

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"


class Measurement(BaseModel):
    """One figure, with the data and the command that it comes from."""

    model_config = ConfigDict(frozen=True)

    name: str
    value: float = Field(allow_inf_nan=False)
    unit: str = ""
    data: str
    command: str


class Draft(BaseModel):
    """A card before it is published: everything its author knows."""

    model_config = ConfigDict(frozen=True)

    task: Task
    name: str = Field(pattern=NAME_PATTERN)
    title: str
    description: str
    architecture: str
    parameters: dict[str, JsonValue] = {}
    factor: int | None = Field(default=None, ge=2, description="Enlargement; for super-resolve only.")
    recipe: dict[str, JsonValue]
    training_data: str
    loss_network: str
    measurements: tuple[Measurement, ...] = ()
    limitations: str = ""
    licence: str
    author: str

    @model_validator(mode="after")
    def _factor_belongs_to_super_resolution(self) -> Self:
        if (self.factor is None) == (self.task == "super-resolve"):
            raise ValueError("a super-resolve card needs a factor, and a stylize card has none")
        return self


class Card(Draft):
    """The card of a published model: a draft plus what publishing fixes."""

    version: int = Field(ge=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of `model.safetensors`.")
    created_at: datetime

    @property
    def label(self) -> str:
        """Name and version, as in `muse@3`."""
        return f"{self.name}@{self.version}"


def check_name(name: str) -> str:
    """Returns a name that a model can have.

    Raises:
        BadLabel: it cannot.
    """
    if re.fullmatch(NAME_PATTERN, name) is None:
        raise BadLabel(
            f"{name!r} cannot name a model: use up to 64 of a-z, 0-9, '.', '_' and '-', a letter or digit first"
        )
    return name


def parse_label(label: str) -> tuple[str, int | None]:
    """Splits `muse` or `muse@3` into name and version.

    Raises:
        BadLabel: it is neither.
    """
    match = re.fullmatch(r"([^@]+)(?:@([1-9][0-9]{0,8}))?", label)
    if match is None:
        raise BadLabel(f"{label!r} does not name a model: write a name, or name@version as in muse@1")
    name, version = match.groups()
    return name, int(version) if version else None
