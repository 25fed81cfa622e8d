"""Starts: trained nets from which the training of another net begins."""

import re
from typing import NamedTuple

from pydantic import JsonValue
from torch import Tensor

from model_store.card import Task, parse_label
from model_store.nets import build
from model_store.store import Store
from trainer.errors import BadRecipe
from trainer.recipes import Recipe


class Start(NamedTuple):
    """A trained net to start from."""

    label: str
    """Name and version of the net in the store, as in muse@1, or words for a net that is not in it."""
    architecture: str
    parameters: dict[str, JsonValue]
    """Parameters that the architecture is built with."""
    sha256: str
    """SHA-256 of the weights, in hexadecimal."""
    weights: dict[str, Tensor]

    @property
    def settings(self) -> dict[str, JsonValue]:
        """Return the settings of the net, which a recipe that starts from it must share."""
        return {"architecture": self.architecture, **self.parameters}

    @property
    def fingerprint(self) -> str:
        """Return a text that identifies the net: its label and the SHA-256 of its weights."""
        return f"{self.label} {self.sha256}"


def open_start(store: Store, task: Task, label: str) -> Start:
    """Open the net to start from by its name, or its name and version.

    Raises:
        StoreError: There is no such net, or it is damaged.
    """
    card, net = store.open(task, *parse_label(label.removeprefix(f"{task}/")))
    return Start(card.label, card.architecture, card.parameters, card.sha256, net.state_dict())


def check_architecture(named: str, recipe: Recipe, start: Start) -> None:
    """Make sure that a recipe that was asked for by name has the architecture of the net to start from.

    Raises:
        BadRecipe: The recipe is for another architecture.
    """
    if recipe.architecture != start.architecture:
        raise BadRecipe(
            f"--recipe {named} is for {recipe.architecture}, and {start.label} is {start.architecture}: "
            "leave one of them out"
        )


def weights_for(recipe: Recipe, start: Start) -> dict[str, Tensor]:
    """Return the first weights of a recipe's net, taken from the net to start from.

    For a larger factor, the last enlargement by 2 is used again for each new one; for a smaller factor, the last ones
    are left out.

    Raises:
        BadRecipe: The weights do not fit the recipe's net.
    """
    wanted = build(recipe.architecture, recipe.parameters).state_dict()
    weights = {key: start.weights[_nearest(key, start.weights)] for key in wanted}
    for key, tensor in wanted.items():
        if weights[key].shape != tensor.shape:
            found, needed = tuple(weights[key].shape), tuple(tensor.shape)
            raise BadRecipe(f"{start.label} does not fit this net: its {key} is {found}, not {needed}")
    return weights


def _nearest(key: str, weights: dict[str, Tensor]) -> str:
    """Return the key itself if it has weights, or else that of the last enlargement by 2 before it.

    Raises:
        BadRecipe: No such key has weights.
    """
    while key not in weights:
        match = re.fullmatch(r"(upsample\.)(\d+)(\..*)", key)
        if match is None or match[2] == "0":
            raise BadRecipe(f"the net to start from has no {key}: it is of another architecture")
        key = f"{match[1]}{int(match[2]) - 1}{match[3]}"
    return key
