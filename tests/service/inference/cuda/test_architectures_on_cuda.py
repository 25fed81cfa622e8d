"""Tests of every architecture's form on CUDA, or by Triton's interpreter on machines without CUDA."""

from collections.abc import Callable

import pytest
import torch

from model_store.nets import (
    SRCNN,
    Johnson2016StyleNet,
    Johnson2016SuperResolutionNet,
    LightStyleNet,
    StyleNet,
    SuperResolutionNet,
    TransformNet,
)
from service.engine.lane import Lane
from service.inference import inference_form
from service.inference.cuda.form import checked, fastest_dtype, rearranged
from service.inference.cuda.graphs import GraphedNet

NETS: list[Callable[[], TransformNet]] = [
    lambda: StyleNet(8, 1),
    lambda: SuperResolutionNet(4, 8, 2),
    lambda: SuperResolutionNet(2, 8, 1),
    lambda: SRCNN(4),
    lambda: LightStyleNet(8, 1),
    lambda: Johnson2016StyleNet(8),
    lambda: Johnson2016SuperResolutionNet(4),
]
NAMES = [
    "style",
    "super-resolution ×4",
    "super-resolution ×2",
    "SRCNN",
    "light style",
    "Johnson's style",
    "Johnson's super-resolution",
]


def a_net(make: Callable[[], TransformNet] = NETS[0]) -> TransformNet:
    torch.manual_seed(0)
    return make().eval().requires_grad_(requires_grad=False)


@pytest.mark.parametrize("is_exact", [False, True], ids=["fast", "exact"])
@pytest.mark.parametrize("make", NETS, ids=NAMES)
def test_every_architecture_has_a_form_that_does_the_same(
    device: torch.device, make: Callable[[], TransformNet], is_exact: bool
) -> None:
    net, same = a_net(make).to(device), a_net(make)
    form = rearranged(same, torch.float32 if is_exact else fastest_dtype(net, (9, 0))).to(device)

    assert checked(net, lambda _: form, *((0.25, 4) if is_exact else (0.5, 8))) is form


@pytest.mark.parametrize("make", NETS, ids=NAMES)
@pytest.mark.usefixtures("device")
def test_a_form_has_the_contract_of_its_net(make: Callable[[], TransformNet]) -> None:
    net = a_net(make)

    form = rearranged(a_net(make), fastest_dtype(net, (9, 0)))

    assert (form.task, form.factor, form.multiple) == (net.task, net.factor, net.multiple)
    assert not form.training


@pytest.mark.cuda
@pytest.mark.parametrize("is_exact", [False, True], ids=["fast", "exact"])
@pytest.mark.parametrize("make", NETS, ids=NAMES)
def test_on_cuda_the_inference_form_makes_what_the_net_makes(
    make: Callable[[], TransformNet], is_exact: bool, caplog: pytest.LogCaptureFixture
) -> None:
    device = torch.device("cuda")
    net = a_net(make).to(device)
    form, lane = inference_form(a_net(make).to(device), is_exact=is_exact), Lane(device)

    assert isinstance(form, GraphedNet)
    assert caplog.records == []
    for height, width, count in [(16, 16, 1), (37, 50, 2), (256, 192, 1), (16, 16, 1), (16, 16, 1), (300, 301, 3)]:
        pictures = [torch.randint(0, 256, (height, width, 3), dtype=torch.uint8) for _ in range(count)]
        for found, wanted in zip(lane.compute(form, pictures), lane.compute(net, pictures), strict=True):
            assert (found.float() - wanted.float()).abs().mean() < 2
