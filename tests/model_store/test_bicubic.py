"""Bicubic resampling against Keys' formula and against MATLAB's results."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model_store.nets import bicubic


def keys_kernel(x: np.ndarray) -> np.ndarray:
    """Return Keys' cubic convolution kernel with a = -0.5 at the distances `x`."""
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0))


def resampling_matrix(inputs: int, outputs: int) -> np.ndarray:
    """Return the weights of `imresize` for one dimension, with repeated edges, `(outputs, inputs)`."""
    scale = outputs / inputs
    width = max(1.0, 1 / scale)
    matrix = np.zeros((outputs, inputs))
    for output in range(outputs):
        centre = (output + 0.5) / scale - 0.5
        positions = np.arange(np.floor(centre - 2 * width), np.ceil(centre + 2 * width) + 1)
        weights = keys_kernel((positions - centre) / width)
        np.add.at(matrix[output], np.clip(positions, 0, inputs - 1).astype(int), weights / weights.sum())
    return matrix


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
def test_enlarging_is_keys_convolution(factor: int) -> None:
    picture = torch.rand(1, 1, 9, 12)
    rows, columns = resampling_matrix(9, 9 * factor), resampling_matrix(12, 12 * factor)
    expected = rows @ picture[0, 0].numpy() @ columns.T
    np.testing.assert_allclose(bicubic.enlarge(picture, factor)[0, 0].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
def test_shrinking_is_keys_convolution_widened_by_the_factor(factor: int) -> None:
    picture = torch.rand(1, 1, 5 * factor, 6 * factor)
    rows, columns = resampling_matrix(5 * factor, 5), resampling_matrix(6 * factor, 6)
    expected = rows @ picture[0, 0].numpy() @ columns.T
    np.testing.assert_allclose(bicubic.shrink(picture, factor)[0, 0].numpy(), expected, atol=1e-5)


def test_shrinking_8_bit_pictures_gives_8_bit_pictures() -> None:
    levels = bicubic.shrink(torch.rand(1, 3, 32, 32), 4, eight_bit=True) * 255
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)


def test_a_size_that_the_factor_does_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="30×32 by 4: crop it"):
        bicubic.shrink(torch.rand(1, 3, 32, 30), 4)


@pytest.mark.parametrize("benchmark", ["Set5", "Set14"])
def test_shrinking_gives_matlabs_pictures(research_data: Path, benchmark: str) -> None:
    folder = research_data / "benchmarks"
    paths = sorted((folder / f"{benchmark}_LR_x4_matlab").glob("*.png"))
    assert paths
    for path in paths:
        large, small = (np.array(Image.open(each).convert("RGB")) for each in (folder / benchmark / path.name, path))
        pictures = torch.from_numpy(large).permute(2, 0, 1)[None] / 255
        height, width = (side - side % 4 for side in pictures.shape[-2:])
        ours = bicubic.shrink(pictures[..., :height, :width], 4, eight_bit=True)[0].permute(1, 2, 0).numpy() * 255
        difference = np.abs(ours - small)
        assert difference.max() < 1.5, path.name
        assert (difference > 0.5).mean() < 0.005, path.name
