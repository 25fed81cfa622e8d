"""PSNR and SSIM, compared with their definitions."""

import math

import numpy as np
import pytest
import torch

from trainer.evaluation import metrics


def test_luma_of_white_black_and_green_is_as_in_bt_601() -> None:
    colours = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).view(3, 3, 1, 1)
    assert metrics.luma(colours).flatten().tolist() == pytest.approx([235.0, 16.0, 144.553])


def test_luma_is_that_of_the_8_bit_picture() -> None:
    assert torch.equal(metrics.luma(torch.full((1, 3, 1, 1), 0.5)), metrics.luma(torch.full((1, 3, 1, 1), 128 / 255)))


def test_psnr_of_a_constant_error_of_one_level() -> None:
    picture = torch.full((1, 1, 20, 20), 100.0)
    assert metrics.psnr(picture, picture + 1, border=0) == pytest.approx(20 * math.log10(255))


def test_equal_pictures_have_the_highest_psnr_and_ssim_1() -> None:
    picture = torch.rand(1, 1, 20, 20, dtype=torch.float64) * 255
    assert metrics.psnr(picture, picture, border=2) == 100
    assert metrics.ssim(picture, picture, border=2) == pytest.approx(1)


def test_the_border_does_not_count() -> None:
    picture = torch.rand(1, 1, 30, 30, dtype=torch.float64) * 255
    framed = picture.clone()
    framed[..., :4, :] = framed[..., -4:, :] = framed[..., :4] = framed[..., -4:] = 0
    assert metrics.psnr(picture, framed, border=4) == 100
    assert metrics.ssim(picture, framed, border=4) == pytest.approx(1)
    assert metrics.psnr(picture, framed, border=3) < 30


def test_ssim_is_the_mean_over_gaussian_windows() -> None:
    torch.manual_seed(0)
    a = torch.rand(1, 1, 14, 16, dtype=torch.float64) * 255
    b = (a + torch.randn_like(a) * 20).clamp(0, 255)
    offsets = np.arange(11) - 5
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    values = []
    for top in range(4):
        for left in range(6):
            x, y = (each[0, 0, top : top + 11, left : left + 11].numpy() for each in (a, b))
            mean_x, mean_y = (window * x).sum(), (window * y).sum()
            variance_x, variance_y = (window * (x - mean_x) ** 2).sum(), (window * (y - mean_y) ** 2).sum()
            covariance = (window * (x - mean_x) * (y - mean_y)).sum()
            c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
            values.append(
                (2 * mean_x * mean_y + c1)
                * (2 * covariance + c2)
                / ((mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2))
            )
    assert metrics.ssim(a, b, border=0) == pytest.approx(np.mean(values))
