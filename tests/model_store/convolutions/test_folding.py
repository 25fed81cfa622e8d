"""Folding: one convolution must give the results of the layers that it replaces."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from model_store.convolutions.folding import fold_enlargement, fold_shuffle, fold_tail
from model_store.nets import SuperResolutionNet


def shuffle_cells(cells: torch.Tensor) -> torch.Tensor:
    """Return the picture of the cells, whose channels are ordered row, column, channel."""
    count, channels, height, width = cells.shape
    pixels = cells.view(count, 2, 2, channels // 4, height, width).permute(0, 3, 4, 1, 5, 2)
    return pixels.reshape(count, channels // 4, 2 * height, 2 * width)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_an_enlargement_and_a_convolution_equal_one_convolution_to_cells() -> None:
    kernel, small = torch.randn(5, 3, 3, 3), torch.randn(2, 3, 6, 9)
    large = F.interpolate(small, scale_factor=2, mode="nearest")
    expected = F.conv2d(F.pad(large, (1, 1, 1, 1), mode="reflect"), kernel)
    folded = F.conv2d(F.pad(small, (1, 1, 1, 1), mode="replicate"), fold_enlargement(kernel))
    torch.testing.assert_close(shuffle_cells(folded), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("side", [5, 9])
def test_a_shuffle_and_a_convolution_equal_one_convolution_from_cells_to_cells(side: int) -> None:
    kernel, cells = torch.randn(3, 2, side, side), torch.randn(1, 4 * 2, 8, 7)
    expected = F.conv2d(shuffle_cells(cells), kernel)
    folded = shuffle_cells(F.conv2d(cells, fold_shuffle(kernel)))
    torch.testing.assert_close(folded, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_the_tail_of_an_enlarging_net_equals_one_convolution_except_in_the_outermost_cells(factor: int) -> None:
    net = SuperResolutionNet(factor, channels=6, residual_blocks=1)
    features = torch.randn(1, 6, 9, 8)
    upsample = [conv for conv in net.upsample if isinstance(conv, nn.Conv2d)]
    with torch.no_grad():
        folded = F.pixel_shuffle(fold_tail(upsample, net.last)(features), factor)
        expected = net.detail(features)
    inner = (..., slice(factor, -factor), slice(factor, -factor))
    torch.testing.assert_close(folded[inner], expected[inner], atol=1e-5, rtol=0)
    assert (folded - expected).abs().max() > 1e-4
