import copy
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from model_store.nets import SRCNN, StyleNet, SuperResolutionNet, TransformNet
from service.inference.cuda.bfloat16_net import Bfloat16Net
from service.inference.cuda.form import checked, rearranged
from service.inference.super_resolution_net import FoldedSuperResolutionNet


def a_net(make: Callable[[], TransformNet] = lambda: StyleNet(8, 1)) -> TransformNet:
    torch.manual_seed(0)
    return make().eval().requires_grad_(requires_grad=False)


class Wrong(TransformNet):
    """Makes something of what a net makes."""

    def __init__(self, net: TransformNet, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.net, self.change = net, change
        self.factor, self.multiple = net.factor, net.multiple
        self.eval()

    def transform(self, pictures: Tensor) -> Tensor:
        return self.change(self.net.transform(pictures))


def a_grey_pixel(pictures: Tensor) -> Tensor:
    pictures[..., -1, -1] = 0.5
    return pictures


def test_srcnn_stays_in_float32() -> None:
    form = rearranged(a_net(lambda: SRCNN(4)), is_exact=False)

    assert {parameter.dtype for parameter in form.parameters()} == {torch.float32}


@pytest.mark.parametrize("form_of", [lambda net: net, FoldedSuperResolutionNet], ids=["unfolded", "folded"])
def test_bfloat16_does_not_round_what_detail_is_added_to(
    form_of: Callable[[SuperResolutionNet], TransformNet],
) -> None:
    net = a_net(lambda: SuperResolutionNet(4, 8, 1))
    nn.init.zeros_(net.last.weight)
    nn.init.zeros_(net.last.bias)
    pictures = torch.rand(1, 3, 16, 16)
    bicubic = net(pictures)

    assert torch.equal(Bfloat16Net(form_of(net))(pictures), bicubic)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_in_bfloat16_an_enlargement_differs_from_the_nets_by_far_less_than_a_level(factor: int) -> None:
    net = a_net(lambda: SuperResolutionNet(factor, 16, 2))
    pictures = torch.rand(2, 3, 33, 40)

    found = rearranged(copy.deepcopy(net), is_exact=False)(pictures)

    assert 255 * (found - net(pictures)).abs().mean() < 0.05


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda pictures: pictures.roll(1, -1), "differs by"),
        (a_grey_pixel, "differs by"),
        (lambda pictures: pictures * float("nan"), "differs by nan"),
        (lambda pictures: pictures[..., :-4], "it makes"),
        (lambda pictures: pictures.no_such_thing, "AttributeError"),
    ],
    ids=["shifted", "one wrong pixel", "no numbers", "another size", "an error"],
)
def test_a_form_that_does_something_else_gives_way_to_the_net(
    change: Callable[[Tensor], Tensor], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    net = a_net()
    pictures = torch.rand(1, 3, 20, 16)
    wanted = net(pictures)

    form = checked(net, lambda net: Wrong(net, change), 0.5, 8)

    torch.testing.assert_close(form(pictures), wanted)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "StyleNet runs in float32 as it is" in caplog.text
    assert reason in caplog.text


def test_without_triton_the_net_runs_as_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delitem(sys.modules, "service.inference.cuda.style_net", raising=False)
    monkeypatch.delitem(sys.modules, "service.inference.cuda.normalisation", raising=False)
    monkeypatch.delitem(sys.modules, "service.inference.cuda.kernels", raising=False)
    monkeypatch.setitem(sys.modules, "triton", None)
    net = a_net()

    assert checked(net, lambda net: rearranged(net, is_exact=False), 0.5, 8) is net
    assert "triton" in caplog.text


def test_out_of_memory_is_for_the_caller() -> None:
    def fail(_net: TransformNet) -> TransformNet:
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        checked(a_net(), fail, 0.5, 8)
