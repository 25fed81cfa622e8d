"""What codecs decode while they are tested."""

import pytest
from PIL import ImageFile


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of the frame, from 0, at each time that pixels are decoded."""
    frames: list[int] = []
    load = ImageFile.ImageFile.load

    def remember(image: ImageFile.ImageFile) -> object:
        frames.append(image.tell())
        return load(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load", remember)
    return frames
