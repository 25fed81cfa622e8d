import numpy as np
import pytest
import torch
from torch import Tensor

from model_store.nets.luma import luma
from service.pipeline.retouching import finish, mix


def noise(seed: int, height: int = 20, width: int = 30) -> Tensor:
    return torch.randint(0, 256, (height, width, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def luma_of(pixels: Tensor) -> Tensor:
    return luma(pixels.permute(2, 0, 1)[None].double())


PHOTO, PAINTING = noise(0), noise(1)


def test_a_strength_of_0_is_the_photo_and_of_1_the_painting() -> None:
    assert torch.equal(mix(PAINTING, PHOTO, 0), PHOTO)
    assert torch.equal(mix(PAINTING, PHOTO, 0, preserve_color=True), PHOTO)
    assert torch.equal(mix(PAINTING, PHOTO, 1), PAINTING)


@pytest.mark.parametrize("strength", [0.001, 0.3, 0.5, 0.999])
def test_strength_goes_evenly_from_the_photo_to_the_painting(strength: float) -> None:
    expected = PHOTO.double() + strength * (PAINTING.double() - PHOTO.double())
    assert (mix(PAINTING, PHOTO, strength).double() - expected).abs().max() <= 0.501


def test_preserved_colours_keep_the_luma_of_the_painting() -> None:
    mixed = mix(PAINTING, PHOTO, 1, preserve_color=True)
    assert (luma_of(mixed) - luma_of(PAINTING)).abs().max() <= 0.51


def test_preserved_colours_keep_their_hue_even_if_they_do_not_fit_the_luma() -> None:
    mixed = mix(PAINTING, PHOTO, 1, preserve_color=True).double()
    chroma, wanted = (each - luma_of(each)[0].permute(1, 2, 0) for each in (mixed, PHOTO.double()))
    # Rounding turns weak colours; strong ones point the same way.
    strong = (chroma.norm(dim=-1) > 20) & (wanted.norm(dim=-1) > 20)
    cosines = torch.nn.functional.cosine_similarity(chroma[strong], wanted[strong], dim=-1)
    assert strong.sum() > 100
    assert cosines.min() > 0.999


def test_grey_stays_grey_under_a_colourful_painting() -> None:
    grey = PHOTO[..., :1].expand(-1, -1, 3).contiguous()
    mixed = mix(PAINTING, grey, 1, preserve_color=True)
    assert (mixed.amax(-1).int() - mixed.amin(-1)).max() <= 0


def test_a_painting_equal_to_its_photo_is_the_photo_with_preserved_colours() -> None:
    assert torch.equal(mix(PHOTO, PHOTO, 1, preserve_color=True), PHOTO)


def test_an_enlargement_by_more_than_the_factor_is_shrunk_without_aliasing() -> None:
    stripes = torch.zeros(80, 120, 3, dtype=torch.uint8)
    stripes[:, ::2] = 200
    halved = finish(stripes, 2, PHOTO)
    assert halved.shape == (40, 60, 3)
    assert (halved[4:-4, 4:-4].int() - 100).abs().max() <= 2


def test_an_enlargement_in_the_right_size_is_left_alone() -> None:
    large = noise(2, 80, 120)
    assert torch.equal(finish(large, 4, PHOTO), large)


def test_the_histogram_is_matched_after_shrinking() -> None:
    matched = finish(noise(3, 80, 120) // 4, 2, PHOTO, match_histogram=True)
    wanted, given = (np.quantile(each.numpy(), np.linspace(0, 1, 33), axis=(0, 1)) for each in (PHOTO, matched))
    assert np.abs(wanted - given).mean() < 3
