"""The form in which a CPU trains style nets, against the net itself."""

import copy

import pytest
import torch
from torch import Tensor, nn

from model_store.nets import StyleNet
from trainer.training.cpu_style_net import CpuStyleNet


@pytest.fixture
def net() -> StyleNet:
    """With weights that are far from their start, where normalisations do next to nothing."""
    torch.manual_seed(0)
    net = StyleNet(width=8, residual_blocks=2).train()
    for module in net.modules():
        if isinstance(module, nn.InstanceNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return net


def gradients(net: nn.Module, made: Tensor, direction: Tensor) -> dict[str, Tensor]:
    parameters = dict(net.named_parameters())
    found = torch.autograd.grad((made * direction).sum(), list(parameters.values()))
    return dict(zip(parameters, found, strict=True))


@pytest.mark.parametrize(("height", "width"), [(32, 32), (48, 20), (18, 33)])
def test_it_makes_what_the_net_makes_and_learns_what_it_would(net: StyleNet, height: int, width: int) -> None:
    net.double()
    pictures = torch.rand(3, 3, height, width, dtype=torch.float64)
    expected, made = net(pictures), CpuStyleNet(net)(pictures)
    assert made.shape == expected.shape
    torch.testing.assert_close(made, expected, atol=1e-6, rtol=0)
    direction = torch.randn_like(made)
    wanted = gradients(net, expected, direction)
    largest = max(float(gradient.abs().max()) for gradient in wanted.values())
    for name, gradient in gradients(net, made, direction).items():
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-4, atol=1e-6 * largest, msg=name)


def test_under_autocast_it_errs_little_more_than_the_net(net: StyleNet) -> None:
    form = CpuStyleNet(net)
    pictures = torch.rand(2, 3, 64, 64)
    exact = net(pictures)
    with torch.autocast("cpu", torch.bfloat16):
        rounded, made = net(pictures), form(pictures)
    assert made.dtype == torch.float32
    assert (made - exact).norm() < 3 * (rounded - exact).norm()


def test_it_shares_the_weights_of_the_net(net: StyleNet) -> None:
    form, pictures = CpuStyleNet(net), torch.rand(1, 3, 32, 32)
    before = form(pictures)
    other = copy.deepcopy(net)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(1.1)
    assert not torch.allclose(form(pictures), before)
    torch.testing.assert_close(CpuStyleNet(other)(pictures), before)


def test_it_is_not_clamped_while_training(net: StyleNet) -> None:
    with torch.no_grad():
        net.decoder[-1].bias.fill_(5)
    pictures = torch.rand(1, 3, 32, 32)
    assert CpuStyleNet(net)(pictures).max() > 1
    assert CpuStyleNet(net.eval())(pictures).max() == 1
