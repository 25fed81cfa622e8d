"""Winograd's convolution and its gradient, against torch's."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from model_store.convolutions import winograd


def plain(padded: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.conv2d(padded.permute(0, 3, 1, 2), kernel, bias).permute(0, 2, 3, 1)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(("height", "width"), [(4, 4), (8, 64), (36, 20), (5, 7), (1, 3), (12, 300)])
@pytest.mark.parametrize(("count", "inputs", "outputs"), [(1, 3, 5), (3, 32, 16)])
def test_the_result_is_that_of_a_plain_convolution(
    count: int, height: int, width: int, inputs: int, outputs: int
) -> None:
    kernel, bias = torch.randn(outputs, inputs, 3, 3) / (9 * inputs) ** 0.5, torch.randn(outputs)
    padded = torch.randn(count, height + 2, width + 2, inputs)
    made = winograd.convolve(padded, winograd.transform_kernel(kernel), bias)
    torch.testing.assert_close(made.double(), plain(padded.double(), kernel.double(), bias.double()), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(4, 4), (5, 7), (36, 20), (8, 300)])
def test_the_gradient_is_that_of_a_plain_convolution(height: int, width: int) -> None:
    padded = torch.randn(3, height + 2, width + 2, 4, dtype=torch.float64, requires_grad=True)
    kernel = torch.randn(5, 4, 3, 3, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(5, dtype=torch.float64, requires_grad=True)
    gradient = torch.randn(3, height, width, 5, dtype=torch.float64)
    made = winograd.convolve(padded, winograd.transform_kernel(kernel), bias)
    for found, expected in zip(
        torch.autograd.grad(made, (padded, kernel, bias), gradient),
        torch.autograd.grad(plain(padded, kernel, bias), (padded, kernel, bias), gradient),
        strict=True,
    ):
        torch.testing.assert_close(found, expected)


def test_the_gradient_of_pictures_passes_a_kernel_without_gradient() -> None:
    padded = torch.randn(1, 10, 10, 4, requires_grad=True)
    kernel = torch.randn(5, 4, 3, 3)
    (found,) = torch.autograd.grad(winograd.convolve(padded, winograd.transform_kernel(kernel)).sum(), padded)
    (expected,) = torch.autograd.grad(plain(padded, kernel).sum(), padded)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_the_error_in_bfloat16_is_a_few_roundings() -> None:
    kernel, padded = torch.randn(64, 64, 3, 3) / 24, torch.rand(1, 34, 34, 64).bfloat16()
    expected = plain(padded.double(), kernel.double())
    made = winograd.convolve(padded, winograd.transform_kernel(kernel).bfloat16())
    assert made.dtype == torch.bfloat16
    assert (made.double() - expected).norm() < 0.02 * expected.norm()


def test_rows_of_a_larger_picture_can_be_convolved() -> None:
    kernel, padded = winograd.transform_kernel(torch.randn(4, 4, 3, 3)), torch.randn(1, 18, 10, 4)
    whole = winograd.convolve(padded, kernel)
    torch.testing.assert_close(winograd.convolve(padded[:, 4:14], kernel), whole[:, 4:12])


def test_the_input_is_not_changed() -> None:
    padded = torch.randn(1, 9, 9, 4)
    before = padded.clone()
    winograd.convolve(padded, winograd.transform_kernel(torch.randn(4, 4, 3, 3)))
    assert torch.equal(padded, before)
