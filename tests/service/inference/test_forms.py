import copy

import pytest
import torch
from torch import Tensor, nn

from model_store.card import Task
from model_store.nets import ARCHITECTURES, StyleNet, SuperResolutionNet, TransformNet, build
from model_store.store import BUNDLED, Store
from service.inference import inference_form

PARAMETERS: dict[str, dict[str, int | str]] = {
    "style-net": {"width": 8, "residual_blocks": 2},
    "light-style-net": {"width": 8, "residual_blocks": 2},
    "johnson2016": {"width": 4},
    "super-resolution-net": {"factor": 4, "channels": 8, "residual_blocks": 2},
    "johnson2016-super-resolution": {"factor": 4},
    "srcnn": {"factor": 2},
    "fast-neural-style": {"width": 8, "residual_blocks": 2},
    "edsr": {"factor": 4, "channels": 8, "residual_blocks": 2},
    "srresnet": {"factor": 4, "channels": 8, "residual_blocks": 2},
}
SIZES = [(16, 16), (17, 23), (40, 64), (33, 100), (72, 18)]


def net_of(architecture: str, **parameters: int) -> TransformNet:
    """With weights that are far from their start, where a net does next to nothing."""
    torch.manual_seed(0)
    net = build(architecture, PARAMETERS[architecture] | parameters).eval().requires_grad_(requires_grad=False)
    for module in net.modules():
        if isinstance(module, nn.InstanceNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.uniform_(module.bias, -0.1, 0.1)
    for name, parameter in net.named_parameters():
        if name.endswith((".scale", ".shift", "flat")):  # of a light net
            nn.init.uniform_(parameter, *((0.5, 1.5) if name.endswith(".scale") else (-0.5, 0.5)))
    return net


def largest_difference(net: TransformNet, pictures: Tensor) -> float:
    """Return the largest difference between the results of the form and of the net, in 255ths."""
    with torch.inference_mode():
        expected = net(pictures)
        made = inference_form(copy.deepcopy(net))(pictures)
    assert made.shape == expected.shape
    return float((made - expected).abs().max()) * 255


def test_every_architecture_is_tested() -> None:
    assert set(PARAMETERS) == set(ARCHITECTURES)


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("architecture", PARAMETERS)
def test_a_form_makes_what_its_net_makes(architecture: str, height: int, width: int) -> None:
    assert largest_difference(net_of(architecture), torch.rand(2, 3, height, width)) < 0.05


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("architecture", ["style-net", "super-resolution-net"])
@pytest.mark.usefixtures("cores")
def test_a_form_makes_the_same_on_any_number_of_cores(architecture: str, height: int, width: int) -> None:
    assert largest_difference(net_of(architecture), torch.rand(1, 3, height, width)) < 0.05


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.usefixtures("cores")
def test_an_enlargement_is_the_same_in_many_bands(height: int, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.inference.cpu.super_resolution_net._BAND_PIXELS", 1)
    assert largest_difference(net_of("super-resolution-net"), torch.rand(1, 3, height, width)) < 0.05


@pytest.mark.parametrize("level", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize(("architecture", "parameters"), [("style-net", {}), ("light-style-net", {"width": 48})])
@pytest.mark.usefixtures("cores")
def test_a_flat_picture_comes_out_flat(architecture: str, parameters: dict[str, int], level: float) -> None:
    picture = torch.full((1, 3, 48, 64), level)
    form = inference_form(net_of(architecture, **parameters))
    with torch.inference_mode():
        made = form(picture)
    assert float((made - made[..., :1, :1]).abs().max()) * 255 < 0.05


def test_a_nearly_flat_picture_is_as_precise_as_any() -> None:
    picture = torch.full((1, 3, 48, 64), 0.5)
    picture[..., 10:20] += 1 / 255
    assert largest_difference(net_of("style-net"), picture) < 0.1


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("stylize", "muse"),
        ("super-resolve", "x4-pixel"),
        ("super-resolve", "x4-feature"),
        ("super-resolve", "x4-pixel-blurred"),
        ("super-resolve", "x8-pixel"),
        ("super-resolve", "x8-feature"),
    ],
)
def test_bundled_nets_have_forms_that_differ_from_them_by_rounding(task: Task, name: str) -> None:
    net = Store(BUNDLED).open(task, name).net
    assert type(inference_form(copy.deepcopy(net))) not in (StyleNet, SuperResolutionNet)
    assert largest_difference(net, torch.rand(1, 3, 50, 61)) < 0.05


@pytest.mark.parametrize("architecture", ["style-net", "super-resolution-net"])
def test_a_form_leaves_the_number_of_threads_as_it_was(architecture: str) -> None:
    before = torch.get_num_threads()
    with torch.inference_mode():
        inference_form(net_of(architecture))(torch.rand(1, 3, 16, 16))
    assert torch.get_num_threads() == before


def test_a_form_has_the_task_factor_and_multiple_of_its_net() -> None:
    for architecture in PARAMETERS:
        net = net_of(architecture)
        form = inference_form(copy.deepcopy(net))
        assert (form.task, form.factor, form.multiple) == (net.task, net.factor, net.multiple)


def test_a_net_without_weights_is_run_as_it_is() -> None:
    class Same(TransformNet):
        def transform(self, pictures: Tensor) -> Tensor:
            return pictures

    net = Same()
    assert inference_form(net) is net


def test_the_weights_of_a_form_are_counted_in_its_state() -> None:
    form = inference_form(net_of("style-net"))
    assert sum(tensor.nbytes for tensor in form.state_dict().values()) > 10_000
