"""Fixtures that make a small gallery and the workshop that trains it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from model_store.nets import StyleNet
from model_store.store import Store
from trainer.galleries.gallery_file import Style, read_gallery
from trainer.galleries.workshop import Workshop

from ...drafts import draft_of

DEFAULTS = """
    [defaults]
    from = "seed"
    loss_networks = ["vgg19-normalised"]
    style_taps = ["relu1_1", "relu2_1"]
    content_taps = ["relu2_1"]
    early_size = 32
    early_share = 0.5
    size = 64
    style_size = 64
    batch = 2
    steps = 4
    precision = "float32"
    """


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Make a store that has a net with random weights to start from."""
    store = Store(tmp_path / "store")
    torch.manual_seed(0)
    store.publish(draft_of("stylize", "seed"), StyleNet(4, 1).state_dict())
    return store


@pytest.fixture
def read(tmp_path: Path, style_picture: Path, vgg19_weights: Path) -> Callable[[str], list[Style]]:
    """Return a function that reads the styles of a gallery with the defaults above, beside a picture `stripes.png`."""

    def read(text: str) -> list[Style]:
        path = tmp_path / "gallery.toml"
        path.write_text(DEFAULTS + text)
        return read_gallery(path, style_picture.parent, [f"vgg19-normalised:{vgg19_weights}"])

    return read


@pytest.fixture
def workshop(tmp_path: Path, store: Store, photos: Path) -> Workshop:
    return Workshop(
        photos=[str(photos)],
        held_out=2,
        store=store,
        folder=tmp_path / "runs",
        device=torch.device("cpu"),
        command="impasto train gallery gallery.toml",
    )
