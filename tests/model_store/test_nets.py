"""The contract that all transform nets keep, and the properties of each architecture."""

import pytest
import torch
from torch import nn

from model_store.errors import UnknownArchitecture
from model_store.nets import (
    ARCHITECTURES,
    SRCNN,
    Johnson2016StyleNet,
    Johnson2016SuperResolutionNet,
    LightStyleNet,
    StyleNet,
    SuperResolutionNet,
    TransformNet,
    bicubic,
    build,
)
from model_store.nets.luma import luma

NETS = [
    pytest.param(StyleNet(width=4, residual_blocks=1), id="style-net"),
    pytest.param(LightStyleNet(width=8, residual_blocks=1), id="light-style-net"),
    pytest.param(Johnson2016StyleNet(width=4), id="johnson2016"),
    pytest.param(SuperResolutionNet(2, channels=8, residual_blocks=1), id="super-resolution x2"),
    pytest.param(SuperResolutionNet(4, channels=8, residual_blocks=1), id="super-resolution x4"),
    pytest.param(SuperResolutionNet(8, channels=8, residual_blocks=1), id="super-resolution x8"),
    pytest.param(Johnson2016SuperResolutionNet(4), id="johnson2016 x4"),
    pytest.param(Johnson2016SuperResolutionNet(8), id="johnson2016 x8"),
    pytest.param(SRCNN(2), id="srcnn x2"),
    pytest.param(SRCNN(4, kernels="9-5-5"), id="srcnn x4"),
    pytest.param(SRCNN(8), id="srcnn x8"),
]


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("size", [(16, 16), (17, 31), (33, 20), (64, 48)])
def test_any_size_from_16_comes_back_times_the_factor_and_in_range(net, size: tuple[int, int]) -> None:
    height, width = size
    with torch.inference_mode():
        result = net.eval()(torch.rand(2, 3, height, width))
    assert result.shape == (2, 3, height * net.factor, width * net.factor)
    assert result.min() >= 0
    assert result.max() <= 1


@pytest.mark.parametrize("net", NETS)
def test_a_side_below_16_is_refused(net) -> None:
    with pytest.raises(ValueError, match="40×15 is too small"):
        net(torch.rand(1, 3, 15, 40))


@pytest.mark.parametrize("net", NETS)
def test_every_parameter_gets_a_gradient(net) -> None:
    net.train()(torch.rand(2, 3, 24, 24)).square().mean().backward()
    still = [name for name, parameter in net.named_parameters() if parameter.grad is None]
    assert still == []
    net.zero_grad()


@pytest.mark.parametrize("net", NETS[:2])
def test_a_picture_does_not_depend_on_its_batch(net) -> None:
    pictures = torch.rand(3, 3, 32, 32)
    with torch.inference_mode():
        together, alone = net.eval()(pictures)[1:2], net(pictures[1:2])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_full_width_style_net_has_the_papers_size() -> None:
    assert sum(parameter.numel() for parameter in StyleNet().parameters()) == 1_679_235


def test_style_net_pads_every_convolution_by_reflection_and_has_no_transposed_ones() -> None:
    convolutions = [module for module in StyleNet().modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 16
    assert {module.padding_mode for module in convolutions} == {"reflect"}
    assert not any(isinstance(module, nn.ConvTranspose2d) for module in StyleNet().modules())


def test_light_style_net_does_an_eighth_of_the_work_of_the_full_one() -> None:
    def multiplications(net: TransformNet) -> int:
        counts: list[int] = []
        for conv in (module for module in net.modules() if isinstance(module, nn.Conv2d)):
            conv.register_forward_hook(lambda conv, _, made: counts.append(made.numel() * conv.weight[0].numel()))
        net(torch.rand(1, 3, 64, 64))
        return sum(counts)

    assert 8 < multiplications(StyleNet()) / multiplications(LightStyleNet()) < 9


def test_an_untrained_light_style_net_has_no_checkerboard() -> None:
    torch.manual_seed(0)
    with torch.inference_mode():
        made = LightStyleNet().eval()(torch.rand(1, 3, 64, 64))
    cells = made.unfold(2, 4, 4).unfold(3, 4, 4)
    assert (cells[..., 0, 0] - cells[..., 1, 1]).abs().max() < 1e-5


def test_a_flat_part_of_a_picture_has_no_checkerboard_whatever_the_weights_of_a_light_style_net() -> None:
    torch.manual_seed(0)
    net = LightStyleNet(width=8, residual_blocks=1).eval()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.5)
    picture = torch.full((1, 3, 32, 128), 0.5)
    picture[..., :32] = torch.rand(3, 32, 32)
    with torch.inference_mode():
        made = net(picture)[..., 96:]
    assert (made - made[..., :1, :1]).abs().max() < 1e-4
    assert made.std((2, 3)).max() < 1e-4


def test_light_style_net_refuses_an_odd_width() -> None:
    with pytest.raises(ValueError, match="even, not 9"):
        LightStyleNet(width=9)


def test_papers_style_net_has_batch_norm_and_fractional_strides() -> None:
    modules = list(Johnson2016StyleNet().modules())
    assert sum(isinstance(module, nn.BatchNorm2d) for module in modules) == 15
    assert sum(isinstance(module, nn.ConvTranspose2d) for module in modules) == 2


def test_super_resolution_net_has_no_normalisation() -> None:
    norms = (nn.BatchNorm2d, nn.InstanceNorm2d, nn.GroupNorm)
    assert not any(isinstance(module, norms) for module in SuperResolutionNet().modules())


def test_super_resolution_net_adds_to_a_bicubic_enlargement() -> None:
    net = SuperResolutionNet(4, channels=8, residual_blocks=1).eval()
    for parameter in net.last.parameters():
        nn.init.zeros_(parameter)
    pictures = torch.rand(1, 3, 20, 24)
    with torch.inference_mode():
        torch.testing.assert_close(net(pictures), bicubic.enlarge(pictures, 4).clamp(0, 1))


@pytest.mark.parametrize(("kernels", "weights"), [("9-1-5", 8_032), ("9-5-5", 57_184)])
def test_srcnn_has_as_many_weights_as_published(kernels: str, weights: int) -> None:
    parameters = SRCNN(kernels=kernels).named_parameters()
    assert sum(parameter.numel() for name, parameter in parameters if name.endswith("weight")) == weights


def test_srcnn_refuses_other_kernels() -> None:
    with pytest.raises(ValueError, match=r"9-1-5 or 9-5-5, not 9-3-5"):
        SRCNN(kernels="9-3-5")


def test_an_untrained_srcnn_is_nearly_bicubic() -> None:
    pictures = torch.rand(1, 3, 20, 24)
    with torch.inference_mode():
        difference = SRCNN().eval()(pictures) - bicubic.enlarge(pictures, 4).clamp(0, 1)
    assert difference.abs().mean() < 0.02


def test_srcnn_leaves_the_chroma_bicubic() -> None:
    net = SRCNN().train()
    nn.init.normal_(net.layers[-1].weight, std=0.1)
    pictures = torch.rand(1, 3, 20, 24)
    with torch.inference_mode():
        result, enlarged = net(pictures), bicubic.enlarge(pictures, 4)
    assert (luma(result) - luma(enlarged)).abs().mean() > 0.01
    torch.testing.assert_close(result - luma(result), enlarged - luma(enlarged), atol=1e-5, rtol=0)


def test_srcnn_keeps_a_plain_picture_plain_to_its_edge() -> None:
    with torch.inference_mode():
        result = SRCNN().eval()(torch.full((1, 3, 16, 16), 0.5))
    torch.testing.assert_close(result, result[..., :1, :1].expand_as(result), atol=1e-4, rtol=0)


def test_the_result_is_not_clamped_in_training_mode() -> None:
    net = StyleNet(width=4, residual_blocks=1)
    nn.init.constant_(net.decoder[-1].bias, 10.0)
    assert net.train()(torch.rand(1, 3, 16, 16)).max() > 1
    assert net.eval()(torch.rand(1, 3, 16, 16)).max() == 1


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_architectures_are_built_by_name(architecture: str) -> None:
    assert isinstance(build(architecture, {}), ARCHITECTURES[architecture])


@pytest.mark.parametrize(
    ("architecture", "parameters"),
    [
        ("resnet", {}),
        ("style-net", {"depth": 3}),
        ("light-style-net", {"width": 9}),
        ("super-resolution-net", {"factor": 3}),
        ("srcnn", {"kernels": "9-3-5"}),
    ],
)
def test_an_architecture_that_cannot_be_built_is_named(architecture: str, parameters: dict[str, int]) -> None:
    with pytest.raises(UnknownArchitecture, match=architecture):
        build(architecture, parameters)
