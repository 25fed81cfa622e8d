"""Starting from a net that was trained already."""

import re
from typing import NamedTuple

from pydantic import JsonValue
from torch import Tensor

from model_store.card import Card, Task, parse_label
from model_store.nets import build
from model_store.store import Store
from trainer.errors import BadRecipe
from trainer.recipes import Recipe


class Start(NamedTuple):
    """A net of the store to start from."""

    card: Card
    weights: dict[str, Tensor]

    @property
    def settings(self) -> dict[str, JsonValue]:
        """What a recipe must have in common with it."""
        return {"architecture": self.card.architecture, **self.card.parameters}

    @property
    def fingerprint(self) -> str:
        """What tells it from other nets."""
        return f"{self.card.label} {self.card.sha256}"


def open_start(store: Store, task: Task, label: str) -> Start:
    """Opens a net by its name, or name and version.

    Raises:
        StoreError: there is no such net, or it is damaged.
    """
    card, net = store.open(task, *parse_label(label.removeprefix(f"{task}/")))
    return Start(card, net.state_dict())


def check_architecture(named: str, recipe: Recipe, start: Start) -> None:
    """Makes sure that a recipe that was asked for by name is one for the net to start from.

    Raises:
        BadRecipe: it is for another architecture.
    """
    if recipe.architecture != start.card.architecture:
        raise BadRecipe(
            f"--recipe {named} is for {recipe.architecture}, and {start.card.label} is {start.card.architecture}: "
            "leave one of them out"
        )


def weights_for(recipe: Recipe, start: Start) -> dict[str, Tensor]:
    """The weights to begin a recipe with.

    For a larger factor, the last ×2 step is used again for each that is new; for a smaller one, the last are left out.

    Raises:
        BadRecipe: they do not fit the recipe's net.
    """
    wanted = build(recipe.architecture, recipe.parameters).state_dict()
    weights = {key: start.weights[_nearest(key, start.weights)] for key in wanted}
    for key, tensor in wanted.items():
        if weights[key].shape != tensor.shape:
            found, needed = tuple(weights[key].shape), tuple(tensor.shape)
            raise BadRecipe(f"{start.card.label} does not fit this net: its {key} is {found}, not {needed}")
    return weights


def _nearest(key: str, weights: dict[str, Tensor]) -> str:
    """The key itself, or that of the last ×2 step before it."""
    while key not in weights:
        match = re.fullmatch(r"(upsample\.)(\d+)(\..*)", key)
        if match is None or match[2] == "0":
            raise BadRecipe(f"the net to start from has no {key}: it is of another architecture")
        key = f"{match[1]}{int(match[2]) - 1}{match[3]}"
    return key
