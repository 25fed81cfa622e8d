"""Fixtures that make photos and files of loss networks."""

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
from PIL import Image

from ..loss_network_weights import vgg16, vgg19_normalised


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Make a folder of twelve small pictures with edges and colours."""
    folder = tmp_path / "photos"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(12):
        blocks = generator.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((96, 72), Image.Resampling.BICUBIC).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture
def style_picture(tmp_path: Path) -> Path:
    """Make a picture of diagonal stripes in two colours."""
    rows, columns = np.mgrid[:64, :80]
    stripes = ((rows + columns) // 6 % 2).astype(bool)
    pixels = np.where(stripes[..., None], (230, 60, 20), (20, 40, 160)).astype(np.uint8)
    path = tmp_path / "stripes.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def vgg19_weights(tmp_path: Path) -> Path:
    """Write a file of random weights for a normalised VGG-19 that ends at conv3_1."""
    path = tmp_path / "vgg19.safetensors"
    safetensors.torch.save_file(vgg19_normalised(), path)
    return path


@pytest.fixture
def vgg16_weights(tmp_path: Path) -> Path:
    """Write a file of random weights for a VGG-16 that ends at conv4_3."""
    path = tmp_path / "vgg16.safetensors"
    safetensors.torch.save_file(vgg16(), path)
    return path
