"""Fixtures of the model store's tests: a tiny model to publish."""

import pytest

from model_store.card import Draft
from model_store.nets import StyleNet

from ..drafts import draft_of


@pytest.fixture
def draft() -> Draft:
    """Return the draft of a tiny style net."""
    return draft_of("stylize", "tiny", title="Tiny", recipe={"steps": 0})


@pytest.fixture
def net() -> StyleNet:
    """Return an untrained net that fits the draft."""
    return StyleNet(width=4, residual_blocks=1)
