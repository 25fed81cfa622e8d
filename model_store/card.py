"""The model card, which says what a model is, how it was made and how good it measured to be."""

import re
from datetime import datetime
from typing import Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from model_store.errors import BadLabel

Task = Literal["stylize", "super-resolve"]
"""The kinds of work that a model can do: painting in a style, and enlarging."""
TASKS: tuple[Task, ...] = get_args(Task)
SMALLEST_SIDE = 16
"""The fewest pixels that a side of a picture must have for any net to take it."""

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
"""The regular expression that the name of every model matches."""


class Measurement(BaseModel):
    """One figure, with the data and the command that it comes from."""

    model_config = ConfigDict(frozen=True)

    name: str
    """The name of the measure, such as `PSNR`."""
    value: float = Field(allow_inf_nan=False)
    unit: str = ""
    """The unit of the value, such as `dB`; empty if it has none."""
    data: str
    """The data that was measured on."""
    command: str
    """The command that measured it."""


class Draft(BaseModel):
    """A card before it is published: everything that its author knows."""

    model_config = ConfigDict(frozen=True)

    task: Task
    name: str = Field(pattern=NAME_PATTERN)
    title: str
    """The name of the model for people."""
    description: str
    architecture: str
    """The name of the net's class in `model_store.nets.ARCHITECTURES`."""
    parameters: dict[str, JsonValue] = {}
    """The arguments that the net's class is built with."""
    light_of: str | None = None
    """The name and version of the model whose pictures a light net learned to make, such as `muse@2`."""
    factor: int | None = Field(default=None, ge=2, description="Factor of enlargement; for super-resolve only.")
    recipe: dict[str, JsonValue]
    """Everything that the training was given and did."""
    training_data: str
    """A description of the pictures that the net was trained on."""
    loss_network: str
    """The loss network and its weights."""
    measurements: tuple[Measurement, ...] = ()
    limitations: str = ""
    licence: str
    """The licence of the weights."""
    author: str

    @model_validator(mode="after")
    def _factor_belongs_to_super_resolution(self) -> Self:
        if (self.factor is None) == (self.task == "super-resolve"):
            raise ValueError("a super-resolve card needs a factor, and a stylize card has none")
        return self


class Card(Draft):
    """The card of a published model: a draft, its version, the checksum of its weights and the time."""

    version: int = Field(ge=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="The sha256 of `model.safetensors`, in hexadecimal.")
    created_at: datetime
    """The time when the model was published."""

    @property
    def label(self) -> str:
        """The name and version, such as `muse@3`."""
        return f"{self.name}@{self.version}"


def check_name(name: str) -> str:
    """Return the name if a model can have it.

    Raises:
        BadLabel: A model cannot have this name.
    """
    if re.fullmatch(NAME_PATTERN, name) is None:
        raise BadLabel(
            f"{name!r} cannot name a model: use up to 64 of a-z, 0-9, '.', '_' and '-', a letter or digit first"
        )
    return name


def parse_label(label: str) -> tuple[str, int | None]:
    """Split a label, such as `muse` or `muse@3`, into the name and the version, which is None if the label has none.

    Raises:
        BadLabel: The label is not of this form.
    """
    match = re.fullmatch(r"([^@]+)(?:@([1-9][0-9]{0,8}))?", label)
    if match is None:
        raise BadLabel(f"{label!r} does not name a model: write a name, or name@version as in muse@1")
    name, version = match.groups()
    return name, int(version) if version else None
