"""The files that the blocks of the documents name."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
from PIL import Image

from model_store.nets import StyleNet
from model_store.store import BUNDLED

from ..service.video.films import pictures, write_film
from .markdown import PROJECT

PHOTOS = ("photo.jpg", "painting.jpg", "preview.jpg", "photos/1.jpg", "photos/2.png", "more/2024/3.jpg")
SMALL = ("small.png", "thumbnails/4.png", "tests/pictures/coffee.jpg")
CURL = 'write-out = "%{stderr}status %{http_code}\\n"\nsilent\nshow-error\n'
"""The configuration of curl, which makes it print the HTTP status."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with small pictures, weights and a card to publish; it also stands for the user's home."""
    with Image.open(PROJECT / "tests/pictures/coffee.jpg") as coffee:
        for names, size in ((PHOTOS, (96, 64)), (SMALL, (48, 32))):
            for name in names:
                path = tmp_path / name
                path.parent.mkdir(parents=True, exist_ok=True)
                coffee.resize(size).save(path)
    write_film(tmp_path / "film.mp4", pictures(3, 96, 64), sound=True)
    muse = BUNDLED / "stylize/muse/1"
    (tmp_path / "model.safetensors").write_bytes((muse / "model.safetensors").read_bytes())
    card = json.loads((muse / "card.json").read_text())
    published = ("version", "sha256", "created_at")
    draft = {key: value for key, value in card.items() if key not in published} | {"name": "my-style"}
    (tmp_path / "card.json").write_text(json.dumps(draft))
    torch.save(StyleNet(4, 1).state_dict(), tmp_path / "mosaic.pth")
    (tmp_path / ".curlrc").write_text(CURL)
    (tmp_path / "Set5").mkdir()
    (tmp_path / "paintings").mkdir()
    layers = {f"features.{number}.weight": torch.zeros(1) for number in (0, 21, 28)}
    safetensors.torch.save_file(layers, tmp_path / "vgg16.safetensors")
    (tmp_path / "dictionary.safetensors").write_bytes(b"")
    return tmp_path
