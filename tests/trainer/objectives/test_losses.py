"""Losses, each compared with its equation written out."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.objectives import losses


@pytest.fixture
def features() -> Tensor:
    torch.manual_seed(0)
    return torch.rand(2, 3, 4, 5)


@pytest.fixture
def target() -> Tensor:
    torch.manual_seed(1)
    return torch.rand(2, 3, 4, 5)


def test_feature_reconstruction_is_equation_2(features: Tensor, target: Tensor) -> None:
    distances = [((a - b) ** 2).sum() / (3 * 4 * 5) for a, b in zip(features, target, strict=True)]
    torch.testing.assert_close(losses.feature_reconstruction(features, target), sum(distances) / 2)


def test_gram_matrix_is_equation_3(features: Tensor) -> None:
    gram = torch.zeros(2, 3, 3)
    for picture in range(2):
        for a in range(3):
            for b in range(3):
                gram[picture, a, b] = (features[picture, a] * features[picture, b]).sum() / (3 * 4 * 5)
    torch.testing.assert_close(losses.gram_matrix(features), gram)


def test_gram_matrix_does_not_depend_on_positions(features: Tensor) -> None:
    torch.testing.assert_close(losses.gram_matrix(features.flip(-1)), losses.gram_matrix(features))


def test_gram_matrix_of_half_precision_features_does_not_overflow() -> None:
    features = torch.full((1, 4, 64, 64), 200.0, dtype=torch.float16)
    gram = losses.gram_matrix(features)
    assert gram.dtype == torch.float32
    torch.testing.assert_close(gram, torch.full((1, 4, 4), 200.0**2 / 4))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("height", "width"), [(9, 7), (32, 48), (40, 30)])
def test_gram_matrix_of_bfloat16_features_errs_by_one_rounding_at_most(
    layout: torch.memory_format, height: int, width: int
) -> None:
    torch.manual_seed(0)
    features = torch.rand(2, 16, height, width).bfloat16().contiguous(memory_format=layout)
    gram = losses.gram_matrix(features)
    assert gram.dtype == torch.float32
    torch.testing.assert_close(gram.double(), losses.gram_matrix(features.double()), rtol=2**-8, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_gradient_of_a_gram_matrix_is_laid_out_as_the_features(dtype: torch.dtype) -> None:
    features = torch.rand(2, 16, 9, 7).to(dtype, memory_format=torch.channels_last).requires_grad_()
    (gradient,) = torch.autograd.grad(losses.gram_matrix(features).sum(), features)
    assert gradient.is_contiguous(memory_format=torch.channels_last)
    assert gradient.dtype == dtype


def test_the_gradient_of_a_gram_matrix_is_exact_also_where_it_is_not_symmetric() -> None:
    assert torch.autograd.gradcheck(losses.gram_matrix, double(0, 2, 3, 4, 5).requires_grad_())


def test_gram_matrix_is_in_single_precision_even_under_autocast(features: Tensor) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert losses.gram_matrix(features).dtype == torch.float32


def test_style_reconstruction_is_equation_4(features: Tensor, target: Tensor) -> None:
    grams = losses.gram_matrix(features), losses.gram_matrix(target)
    distances = [torch.linalg.matrix_norm(a - b, "fro") ** 2 for a, b in zip(*grams, strict=True)]
    torch.testing.assert_close(losses.style_reconstruction(*grams), sum(distances) / 2)


def test_total_variation_is_the_sum_of_squared_differences_of_neighbours() -> None:
    picture = torch.tensor([[[[0.0, 1.0], [3.0, 3.0]]]])
    assert losses.total_variation(picture) == 1 + 9 + 4


def test_pixel_loss_is_the_mean_squared_difference() -> None:
    assert losses.pixel(torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), 0.5)) == 0.25
    assert losses.absolute_pixel(torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), 0.5)) == 0.5


def test_relative_losses_are_1_for_features_of_zeros(target: Tensor) -> None:
    nothing = torch.zeros_like(target)
    gram = losses.gram_matrix(target)
    assert losses.relative_feature_reconstruction(nothing, target) == pytest.approx(1)
    assert losses.relative_style_reconstruction(torch.zeros_like(gram), gram) == pytest.approx(1)


@pytest.mark.parametrize("scale", [1e-3, 50.0])
def test_relative_losses_do_not_depend_on_the_scale_of_the_loss_network(
    features: Tensor, target: Tensor, scale: float
) -> None:
    torch.testing.assert_close(
        losses.relative_feature_reconstruction(scale * features, scale * target),
        losses.relative_feature_reconstruction(features, target),
    )
    torch.testing.assert_close(
        losses.relative_style_reconstruction(losses.gram_matrix(scale * features), losses.gram_matrix(scale * target)),
        losses.relative_style_reconstruction(losses.gram_matrix(features), losses.gram_matrix(target)),
    )


def test_mean_squared_variation_does_not_depend_on_the_size() -> None:
    ramp = torch.arange(64.0).expand(1, 3, 64, 64) / 64
    torch.testing.assert_close(losses.mean_squared_variation(ramp), losses.mean_squared_variation(ramp[..., :32, :32]))


def test_every_loss_is_zero_for_equal_pictures(features: Tensor) -> None:
    gram = losses.gram_matrix(features)
    values = [
        losses.feature_reconstruction(features, features),
        losses.relative_feature_reconstruction(features, features),
        losses.style_reconstruction(gram, gram),
        losses.relative_style_reconstruction(gram, gram),
        losses.pixel(features, features),
    ]
    assert values == [0, 0, 0, 0, 0]


def test_local_texture_notices_that_texture_has_moved_to_another_window(features: Tensor) -> None:
    moved = features.roll(2, -1)
    torch.testing.assert_close(losses.gram_matrix(moved), losses.gram_matrix(features))
    assert losses.local_texture(moved, features, 2) > 0.01


def test_the_grid_loss_sees_only_what_repeats_with_the_small_picture() -> None:
    torch.manual_seed(0)
    truth = torch.full((1, 3, 32, 32), 0.5)
    hatched = torch.tensor([0.1, -0.1]).repeat(16).expand_as(truth)
    scattered = hatched.flatten()[torch.randperm(hatched.numel())].view_as(truth)
    assert losses.grid_pattern(truth + hatched, truth, 4).item() == pytest.approx(0.1)
    assert losses.grid_pattern(truth + scattered, truth, 4) < 0.03


def test_windows_larger_than_the_features_are_refused(features: Tensor) -> None:
    with pytest.raises(ValueError, match="features of 5×4 hold no window of 6"):
        losses.local_texture(features, features, 6)


def test_light_and_dark_are_kept_whatever_the_brightness_contrast_and_fine_strokes() -> None:
    photo = torch.nn.functional.interpolate(torch.rand(2, 3, 6, 6), scale_factor=16, mode="bilinear")
    strokes = torch.tensor([0.02, -0.02]).repeat(48)
    assert losses.light_and_dark(0.5 * photo + 0.2 + strokes, photo) == pytest.approx(0, abs=0.01)
    assert losses.light_and_dark(1 - photo, photo) == pytest.approx(2, abs=0.01)


def test_light_and_dark_of_another_picture_are_lost() -> None:
    right = torch.linspace(0, 1, 64).expand(1, 3, 64, 64)
    assert losses.light_and_dark(right.mT, right) == pytest.approx(1, abs=1e-3)


def test_light_and_dark_do_not_depend_on_colours_of_the_same_luma() -> None:
    grey = torch.linspace(0.2, 0.8, 64).expand(1, 3, 64, 64)
    red = grey + torch.tensor([0.114, 0.0, -0.299]).view(3, 1, 1) * torch.rand(64, 64)
    assert losses.light_and_dark(red, grey) == pytest.approx(0, abs=0.01)


def test_light_and_dark_of_pictures_of_one_colour_have_finite_gradients() -> None:
    flat = torch.full((1, 3, 32, 32), 0.5, requires_grad=True)
    loss = losses.light_and_dark(flat, torch.rand(1, 3, 32, 32))
    (gradient,) = torch.autograd.grad(loss, flat)
    assert loss.detach() == pytest.approx(1)
    assert torch.isfinite(gradient).all()


def test_the_objective_weighs_its_terms() -> None:
    terms = {"content": torch.tensor(2.0), "style": torch.tensor(3.0)}
    assert losses.weighted_sum(terms, {"content": 10, "style": 100}) == 320


def double(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def flat(pictures: Tensor) -> np.ndarray:
    return pictures.detach().numpy().reshape(len(pictures), -1)


def grams(features: Tensor) -> np.ndarray:
    each = features.detach().numpy()
    channels, height, width = each.shape[1:]
    return np.stack([np.einsum("ahw,bhw->ab", picture, picture) / (channels * height * width) for picture in each])


def squared_steps(pictures: Tensor) -> tuple[np.ndarray, np.ndarray]:
    each = pictures.detach().numpy()
    return np.diff(each, axis=2) ** 2, np.diff(each, axis=3) ** 2


def squares_of(pictures: Tensor, side: int) -> list[Tensor]:
    """Return every whole window, beginning at the top left."""
    height, width = pictures.shape[2:]
    return [
        picture[None, :, top : top + side, left : left + side]
        for picture in pictures
        for top in range(0, height - side + 1, side)
        for left in range(0, width - side + 1, side)
    ]


def to_8_by_8(pictures: Tensor) -> Tensor:
    height, width = pictures.shape[2:]
    return F.pad(pictures, (0, 8 - width, 0, 8 - height))


GRAM = losses.gram_matrix
REFERENCES: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor, Tensor], float]]] = {
    "feature reconstruction": (
        losses.feature_reconstruction,
        lambda x, y: np.mean(((flat(x) - flat(y)) ** 2).sum(1) / flat(x).shape[1]),
    ),
    "relative feature reconstruction": (
        losses.relative_feature_reconstruction,
        lambda x, y: np.mean(((flat(x) - flat(y)) ** 2).sum(1) / (flat(y) ** 2).sum(1)),
    ),
    "style reconstruction": (
        lambda x, y: losses.style_reconstruction(GRAM(x), GRAM(y)),
        lambda x, y: np.mean([np.linalg.norm(a - b) ** 2 for a, b in zip(grams(x), grams(y), strict=True)]),
    ),
    "relative style reconstruction": (
        lambda x, y: losses.relative_style_reconstruction(GRAM(x), GRAM(y)),
        lambda x, y: np.mean(
            [(np.linalg.norm(a - b) / np.linalg.norm(b)) ** 2 for a, b in zip(grams(x), grams(y), strict=True)]
        ),
    ),
    "local texture": (
        lambda x, y: losses.local_texture(x, y, 2),
        lambda x, y: np.mean(
            [
                (np.linalg.norm(grams(a) - grams(b)) / np.linalg.norm(grams(b))) ** 2
                for a, b in zip(squares_of(x, 2), squares_of(y, 2), strict=True)
            ]
        ),
    ),
    "grid pattern": (
        lambda x, y: losses.grid_pattern(to_8_by_8(x), to_8_by_8(y), 2),
        lambda x, y: np.mean(
            [
                np.abs(to_8_by_8(x - y).detach().numpy()[..., row::2, column::2].mean((2, 3)))
                for row in range(2)
                for column in range(2)
            ]
        ),
    ),
    "total variation": (
        lambda x, _: losses.total_variation(x),
        lambda x, _: sum(steps.sum() for steps in squared_steps(x)) / len(x),
    ),
    "mean squared variation": (
        lambda x, _: losses.mean_squared_variation(x),
        lambda x, _: sum(steps.mean() for steps in squared_steps(x)),
    ),
    "pixel": (losses.pixel, lambda x, y: np.mean((flat(x) - flat(y)) ** 2)),
    "absolute steps": (
        losses.absolute_steps,
        lambda x, y: sum(np.abs(np.diff((x - y).detach().numpy(), axis=axis)).mean() for axis in (2, 3)),
    ),
    "absolute pixel": (losses.absolute_pixel, lambda x, y: np.mean(np.abs(flat(x) - flat(y)))),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_every_loss_and_its_gradient_equal_a_reference_in_double_precision(name: str) -> None:
    loss, reference = REFERENCES[name]
    pictures, target = double(2, 2, 3, 5, 4).requires_grad_(), double(3, 2, 3, 5, 4)
    value = loss(pictures, target)
    assert value.dtype == torch.float64
    assert value.item() == pytest.approx(reference(pictures, target), rel=1e-12)
    assert torch.autograd.gradcheck(loss, (pictures, target))
