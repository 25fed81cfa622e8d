"""Histogram matching, which gives a picture the colours of another."""

import pytest
import torch
from torch import Tensor

from model_store.nets import histogram


def colourful(height: int, width: int, power: float = 1.0, seed: int = 0) -> Tensor:
    """Return two pictures whose channels are distributed differently."""
    pictures = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(seed))
    return pictures ** (power * torch.tensor([0.5, 1.0, 3.0])).view(3, 1, 1)


def quantiles(pictures: Tensor) -> Tensor:
    return torch.quantile(pictures.flatten(2), torch.linspace(0, 1, 101), dim=2)


@pytest.mark.parametrize("size", [(64, 80), (40, 50), (200, 99)])
def test_the_colours_are_distributed_as_in_the_reference(size: tuple[int, int]) -> None:
    pictures, reference = colourful(96, 64, power=0.3), colourful(*size, seed=1)
    matched = histogram.match(pictures, reference)
    assert matched.shape == pictures.shape
    torch.testing.assert_close(quantiles(matched), quantiles(reference), atol=1 / 255, rtol=0)


def test_the_order_of_values_is_kept() -> None:
    pictures = colourful(40, 40)
    matched = histogram.match(pictures, colourful(30, 30, power=4, seed=1))
    order = pictures.flatten(2).argsort(2)
    assert (matched.flatten(2).gather(2, order).diff(dim=2) >= 0).all()


def test_a_picture_matched_to_itself_is_unchanged() -> None:
    eight_bit = colourful(50, 30).mul(255).round().div(255)
    assert torch.equal(histogram.match(eight_bit, eight_bit), eight_bit)


def test_a_picture_matched_to_a_smaller_copy_is_unchanged() -> None:
    small = colourful(20, 30).mul(255).round().div(255)
    large = small.repeat_interleave(4, 2).repeat_interleave(4, 3)
    assert torch.equal(histogram.match(large, small), large)


def test_equal_values_stay_equal() -> None:
    halves = torch.tensor([0.2, 0.8]).repeat_interleave(50).view(1, 1, 10, 10)
    reference = torch.linspace(0, 1, 101).view(1, 1, 1, 101)
    matched = histogram.match(halves, reference)
    torch.testing.assert_close(matched.unique(), torch.tensor([0.25, 0.75]), atol=0.01, rtol=0)


def test_a_constant_picture_becomes_the_median() -> None:
    matched = histogram.match(torch.full((1, 1, 8, 8), 0.9), torch.tensor([0.0, 0.4, 0.5, 0.6, 0.7]).view(1, 1, 1, 5))
    torch.testing.assert_close(matched, torch.full((1, 1, 8, 8), 0.5), atol=1e-4, rtol=0)


def test_a_constant_reference_makes_a_picture_constant() -> None:
    matched = histogram.match(colourful(8, 8), torch.full((1, 3, 5, 5), 0.25))
    torch.testing.assert_close(matched, torch.full_like(matched, 0.25), atol=1e-4, rtol=0)


def test_one_reference_serves_a_batch_and_each_picture_may_have_its_own() -> None:
    pictures, references = colourful(16, 16), colourful(12, 12, power=2, seed=1)
    shared = histogram.match(pictures, references[:1])
    own = histogram.match(pictures, references)
    assert torch.equal(shared[0], own[0])
    assert torch.equal(own[1], histogram.match(pictures[1:], references[1:])[0])


def test_values_outside_the_range_are_clamped() -> None:
    matched = histogram.match(torch.tensor([-1.0, 0.5, 2.0]).view(1, 1, 1, 3), torch.rand(1, 1, 4, 4))
    assert 0 <= matched.min() <= matched.max() <= 1


def test_bytes_get_the_colours_that_floats_get() -> None:
    pixels, reference = (colourful(*size)[0].mul(255).round().byte().permute(1, 2, 0) for size in ((60, 80), (15, 20)))
    expected = histogram.match(*(each.permute(2, 0, 1)[None] / 255 for each in (pixels, reference)))
    matched = histogram.match_bytes(pixels.clone(), reference)
    assert torch.equal(matched, expected[0].mul(255).round().byte().permute(1, 2, 0))
    assert not torch.equal(matched, pixels)
