import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.objectives.frozen_convolution import FrozenConvolution

FEW, MANY = (3, 64), (64, 128)
"""Channels for which the plain way is taken, and Winograd's."""


@pytest.fixture(params=[FEW, MANY], ids=["few channels", "many channels"])
def convolution(request: pytest.FixtureRequest) -> FrozenConvolution:
    torch.manual_seed(0)
    return FrozenConvolution(*request.param)


def plain(convolution: FrozenConvolution, features: Tensor) -> Tensor:
    return F.conv2d(features, convolution.weight, convolution.bias, padding=1)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (9, 30)])
def test_it_does_and_passes_back_what_a_convolution_does(
    convolution: FrozenConvolution, height: int, width: int
) -> None:
    features = torch.randn(2, convolution.in_channels, height, width, requires_grad=True)
    made, expected = convolution(features), plain(convolution, features)
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-5)
    gradient = torch.randn_like(made)
    (found,), (wanted,) = (torch.autograd.grad(each, features, gradient) for each in (made, expected))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_under_autocast_it_rounds_to_bfloat16(convolution: FrozenConvolution) -> None:
    features = torch.rand(1, convolution.in_channels, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        made = convolution(features)
    assert made.dtype == torch.bfloat16
    expected = plain(convolution, features)
    assert (made - expected).norm() < 0.02 * expected.norm()


def test_its_first_use_may_be_without_gradients(convolution: FrozenConvolution) -> None:
    features = torch.rand(1, convolution.in_channels, 8, 8)
    with torch.inference_mode():
        convolution(features)
    convolution(features.requires_grad_()).sum().backward()
    assert features.grad is not None


def test_a_copy_sees_the_same(convolution: FrozenConvolution) -> None:
    features = torch.rand(1, convolution.in_channels, 8, 8)
    made = convolution(features)
    assert torch.equal(copy.deepcopy(convolution)(features), made)
