"""Transparent pixels: their hidden colours, the picture that a net sees, and the alpha of an enlargement."""

import numpy as np
import pytest
import torch
from torch import Tensor

from service.codec.alpha import as_seen, enlarge, without_hidden_colours

GREEN, MAGENTA = torch.tensor([0, 200, 0], dtype=torch.uint8), torch.tensor([255, 0, 255], dtype=torch.uint8)


def disc(height: int = 61, width: int = 73, softness: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return a green disc with a soft edge; the fainter half of the edge and all hidden pixels are magenta."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    distance = ((rows - height / 2) ** 2 + (columns - width / 2) ** 2).sqrt()
    alpha = ((20 - distance) / softness + 0.5).clamp(0, 1).mul(255).round().byte()
    return torch.where((alpha >= 128)[..., None], GREEN, MAGENTA), alpha


def test_hidden_pixels_take_the_colours_around_them() -> None:
    pixels, alpha = disc(softness=1e-6)
    assert (without_hidden_colours(pixels, alpha).int() - GREEN).abs().max() <= 2


def test_filling_hidden_pixels_does_not_change_visible_ones() -> None:
    pixels, alpha = disc(softness=8)
    kept = pixels.clone()
    filled = without_hidden_colours(pixels, alpha)
    assert torch.equal(filled[alpha > 0], kept[alpha > 0])


def test_a_hidden_hole_is_filled_from_its_own_side() -> None:
    pixels = torch.zeros(32, 64, 3, dtype=torch.uint8)
    pixels[:, :32, 0], pixels[:, 32:, 2] = 240, 240
    alpha = torch.full((32, 64), 255, dtype=torch.uint8)
    alpha[12:16, 8:12] = alpha[12:16, 52:56] = 0
    kept = pixels.clone()
    pixels[alpha == 0] = MAGENTA
    assert torch.equal(without_hidden_colours(pixels, alpha), kept)


def test_a_net_does_not_see_the_colours_of_a_faint_rim() -> None:
    pixels, alpha = disc(softness=4)
    seen = as_seen(without_hidden_colours(pixels, alpha), alpha)
    faint = alpha < 20
    assert (seen[alpha == 255] == GREEN).all()
    assert (seen[faint].float() - GREEN).abs().mean() < 25
    assert (pixels[faint & (alpha > 0)].float() - GREEN).abs().mean() > 200


@pytest.mark.parametrize("opacity", [1, 128, 255])
def test_a_net_sees_an_evenly_transparent_picture_as_it_is(opacity: int) -> None:
    pixels = torch.randint(0, 256, (20, 30, 3), dtype=torch.uint8)
    alpha = torch.full((20, 30), opacity, dtype=torch.uint8)
    assert torch.equal(as_seen(pixels, alpha), pixels)


def test_a_wholly_transparent_picture_is_left_alone() -> None:
    pixels, alpha = torch.full((17, 33, 3), 9, dtype=torch.uint8), torch.zeros(17, 33, dtype=torch.uint8)
    assert torch.equal(as_seen(without_hidden_colours(pixels, alpha), alpha), torch.full_like(pixels, 9))


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_a_mask_is_enlarged_by_itself_and_stays_in_range(factor: int) -> None:
    mask = torch.zeros(16, 20, dtype=torch.uint8)
    mask[:, 10:] = 255
    enlarged = enlarge(mask, factor).numpy()
    assert enlarged.shape == (16 * factor, 20 * factor)
    assert (enlarged[:, : 7 * factor] == 0).all()
    assert (enlarged[:, 13 * factor :] == 255).all()
    assert (np.diff(enlarged[:, 9 * factor : 11 * factor].astype(int), axis=1) >= 0).all()
