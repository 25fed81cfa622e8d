"""A record of what Pillow decodes."""

import pytest
from PIL import ImageFile


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the number of a frame, from 0, whenever its pixels are decoded."""
    frames: list[int] = []
    load = ImageFile.ImageFile.load

    def remember(image: ImageFile.ImageFile) -> object:
        frames.append(image.tell())
        return load(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load", remember)
    return frames
