"""Luma and chroma, against the coefficients of the standard."""

import pytest
import torch

from model_store.nets.luma import luma, with_luma


@pytest.mark.parametrize(
    ("colour", "expected"),
    [((1, 1, 1), 1.0), ((0, 0, 0), 0.0), ((1, 0, 0), 0.299), ((0, 1, 0), 0.587), ((0, 0, 1), 0.114)],
)
def test_luma_of_primaries_is_that_of_bt_601(colour: tuple[int, int, int], expected: float) -> None:
    pictures = torch.tensor(colour).view(1, 3, 1, 1).expand(2, 3, 4, 5).float()
    torch.testing.assert_close(luma(pictures), torch.full((2, 1, 4, 5), expected))


def test_a_new_luma_replaces_the_old_and_the_chroma_is_kept() -> None:
    pictures, wanted = torch.rand(2, 3, 4, 5), torch.rand(2, 1, 4, 5)
    result = with_luma(pictures, wanted)
    torch.testing.assert_close(luma(result), wanted)
    torch.testing.assert_close(result - luma(result), pictures - luma(pictures))
