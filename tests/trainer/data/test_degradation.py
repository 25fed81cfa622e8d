"""The degradation of large pictures to small ones."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from model_store.nets import bicubic
from trainer.data.degradation import degrade


@pytest.fixture
def pictures() -> Tensor:
    return torch.randint(256, (3, 3, 40, 48), generator=torch.Generator().manual_seed(0)) / 255


def blurred(pictures: Tensor, sigma: float) -> Tensor:
    """Return pictures blurred by SciPy, with the edge repeated and a kernel that reaches 8 pixels."""
    planes = ndimage.gaussian_filter(pictures.numpy(), (0, 0, sigma, sigma), mode="nearest", radius=8)
    return torch.from_numpy(planes)


def test_without_a_blur_it_is_bicubic_shrinking_of_eight_bits(pictures: Tensor) -> None:
    expected = bicubic.shrink(pictures, 4, eight_bit=True)
    assert torch.equal(degrade(pictures, 4), expected)
    assert torch.equal(degrade(pictures, 4, torch.zeros(3)), expected)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.0])
def test_the_blur_is_a_gaussian_before_the_shrinking(pictures: Tensor, sigma: float) -> None:
    expected = bicubic.shrink(blurred(pictures, sigma), 4, eight_bit=True)
    levels = ((degrade(pictures, 4, sigma) - expected) * 255).abs()
    assert levels.max() < 1.5  # rounding may fall either way
    assert levels.mean() < 0.01


def test_the_kernel_reaches_as_far_as_the_largest_sigma_needs(pictures: Tensor) -> None:
    exact = torch.from_numpy(ndimage.gaussian_filter(pictures.numpy(), (0, 0, 2, 2), mode="nearest", truncate=10))
    levels = ((degrade(pictures, 2, 2.0) - bicubic.shrink(exact, 2, eight_bit=True)) * 255).abs()
    assert levels.max() < 1.5
    assert levels.mean() < 0.05


def test_each_picture_has_its_own_sigma(pictures: Tensor) -> None:
    together = degrade(pictures, 4, torch.tensor([0.0, 1.0, 1.7]))
    for picture, result, sigma in zip(pictures, together, (0.0, 1.0, 1.7), strict=True):
        torch.testing.assert_close(result[None], degrade(picture[None], 4, sigma), atol=1.5 / 255, rtol=0)
    assert torch.equal(together[:1], degrade(pictures[:1], 4))


def test_a_picture_smaller_than_the_kernel_is_blurred() -> None:
    picture = torch.rand(1, 3, 4, 4)
    assert degrade(picture, 4, 2.0).shape == (1, 3, 1, 1)


def test_a_plain_picture_stays_plain() -> None:
    grey = torch.full((1, 3, 16, 16), 100 / 255)
    torch.testing.assert_close(degrade(grey, 2, 1.0), grey[..., :8, :8])


@pytest.mark.parametrize("sigma", [-0.1, 2.1, np.inf])
def test_a_sigma_out_of_range_is_refused(pictures: Tensor, sigma: float) -> None:
    with pytest.raises(ValueError, match=r"must be from 0 to 2\.0"):
        degrade(pictures, 4, sigma)
