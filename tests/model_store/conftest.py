"""Fixtures of the model store's tests: a tiny model to publish."""

import pytest

from model_store.card import Draft
from model_store.nets import StyleNet


@pytest.fixture
def draft() -> Draft:
    """Return the draft of a tiny style net."""
    return Draft(
        task="stylize",
        name="tiny",
        title="Tiny",
        description="For tests.",
        architecture="style-net",
        parameters={"width": 4, "residual_blocks": 1},
        recipe={"steps": 0},
        training_data="none",
        loss_network="none",
        licence="Apache-2.0",
        author="A test",
    )


@pytest.fixture
def net() -> StyleNet:
    """Return an untrained net that fits the draft."""
    return StyleNet(width=4, residual_blocks=1)
