"""The start of training from a net that was trained already."""

from pathlib import Path

import pytest
import torch

from model_store.errors import ModelNotFound
from model_store.nets import build
from model_store.store import Store
from trainer.errors import BadRecipe
from trainer.recipes import StyleRecipe, SuperResolutionRecipe
from trainer.training.start import open_start, weights_for

from ...drafts import draft_of


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Make a store that has a small ×4 net."""
    store = Store(tmp_path / "store")
    draft = draft_of("super-resolve", "x4", width=8, factor=4)
    store.publish(draft, build(draft.architecture, draft.parameters).state_dict())
    return store


def small(factor: int, **settings: int) -> SuperResolutionRecipe:
    return SuperResolutionRecipe.model_validate({"factor": factor, "channels": 8, "residual_blocks": 1} | settings)


def test_the_same_net_starts_with_the_same_weights(store: Store) -> None:
    start = open_start(store, "super-resolve", "x4@1")
    assert start.settings["channels"] == 8
    weights = weights_for(small(4), start)
    assert all(torch.equal(weights[key], tensor) for key, tensor in start.weights.items())


def test_x8_takes_its_third_step_from_the_second_of_x4(store: Store) -> None:
    start = open_start(store, "super-resolve", "x4")
    weights = weights_for(small(8), start)
    assert torch.equal(weights["upsample.2.weight"], start.weights["upsample.1.weight"])
    assert torch.equal(weights["last.weight"], start.weights["last.weight"])
    build("super-resolution-net", small(8).parameters).load_state_dict(weights)


def test_x2_leaves_the_second_step_out(store: Store) -> None:
    weights = weights_for(small(2), open_start(store, "super-resolve", "x4"))
    build("super-resolution-net", small(2).parameters).load_state_dict(weights)


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        (small(4, channels=16), r"x4@1 does not fit this net: its head.weight is \(8, 3, 3, 3\), not \(16, 3, 3, 3\)"),
        (small(4, residual_blocks=2), "has no body.1.branch.0.weight: it is of another architecture"),
        (StyleRecipe(), "it is of another architecture"),
    ],
)
def test_a_net_that_does_not_fit_is_refused(
    store: Store, recipe: StyleRecipe | SuperResolutionRecipe, sentence: str
) -> None:
    with pytest.raises(BadRecipe, match=sentence):
        weights_for(recipe, open_start(store, "super-resolve", "x4"))


def test_a_net_that_does_not_exist_is_named(store: Store) -> None:
    with pytest.raises(ModelNotFound, match="x5"):
        open_start(store, "super-resolve", "x5")
