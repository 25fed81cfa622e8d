import copy
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from model_store.nets import SRCNN, Johnson2016StyleNet, StyleNet, SuperResolutionNet, TransformNet
from service.inference.cuda.awaited_form import AwaitedForm
from service.inference.cuda.bfloat16_net import Bfloat16Net
from service.inference.cuda.form import checked, fastest_dtype, form_for_cuda, form_or_net, rearranged
from service.inference.cuda.graphs import GraphedNet
from service.inference.super_resolution_net import FoldedSuperResolutionNet


def a_net(make: Callable[[], TransformNet] = lambda: StyleNet(8, 1)) -> TransformNet:
    torch.manual_seed(0)
    return make().eval().requires_grad_(requires_grad=False)


class Wrong(TransformNet):
    """A form that makes something else than its net, by a change to the result."""

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


TURING, AMPERE, HOPPER = (7, 5), (8, 0), (9, 0)


@pytest.mark.parametrize(
    ("make", "capability", "dtype"),
    [
        (lambda: StyleNet(8, 1), (6, 1), torch.float32),
        (lambda: StyleNet(8, 1), TURING, torch.float16),
        (lambda: StyleNet(8, 1), HOPPER, torch.float16),
        (lambda: SuperResolutionNet(4, 8, 1), TURING, torch.float32),
        (lambda: SuperResolutionNet(4, 8, 1), AMPERE, torch.bfloat16),
        (lambda: Johnson2016StyleNet(8), TURING, torch.float32),
        (lambda: Johnson2016StyleNet(8), AMPERE, torch.bfloat16),
        (lambda: SRCNN(4), HOPPER, torch.float32),
    ],
)
def test_a_net_is_in_half_precision_where_it_and_the_device_are_fit_for_it(
    make: Callable[[], TransformNet], capability: tuple[int, int], dtype: torch.dtype
) -> None:
    assert fastest_dtype(a_net(make), capability) == dtype


@pytest.mark.parametrize("form_of", [lambda net: net, FoldedSuperResolutionNet], ids=["unfolded", "folded"])
def test_bfloat16_does_not_round_the_picture_that_detail_is_added_to(
    form_of: Callable[[SuperResolutionNet], TransformNet],
) -> None:
    net = a_net(lambda: SuperResolutionNet(4, 8, 1))
    nn.init.zeros_(net.last.weight)
    nn.init.zeros_(net.last.bias)
    pictures = torch.rand(1, 3, 16, 16)
    bicubic = net(pictures)

    assert torch.equal(Bfloat16Net(form_of(net))(pictures), bicubic)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_in_bfloat16_a_form_enlarges_as_its_net_does_to_far_less_than_a_level(factor: int) -> None:
    net = a_net(lambda: SuperResolutionNet(factor, 16, 2))
    pictures = torch.rand(2, 3, 33, 40)

    found = rearranged(copy.deepcopy(net), torch.bfloat16)(pictures)

    assert 255 * (found - net(pictures)).abs().mean() < 0.05


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda pictures: pictures.roll(1, -1), "differs by"),
        (a_grey_pixel, "differs by"),
        (lambda pictures: pictures * float("nan"), "differs by nan"),
        (lambda pictures: pictures[..., :-4], "it makes"),
    ],
    ids=["shifted", "one wrong pixel", "NaN", "another size"],
)
def test_a_form_that_does_something_else_gives_way_to_the_net_for_ever(
    change: Callable[[Tensor], Tensor], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    net = a_net()
    pictures = torch.rand(1, 3, 20, 16)
    wanted = net(pictures)

    form = form_or_net(net, lambda: checked(net, lambda net: Wrong(net, change), 0.5, 8))

    assert isinstance(form, GraphedNet)
    torch.testing.assert_close(form(pictures), wanted)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "StyleNet runs in float32 as it is" in caplog.text
    assert reason in caplog.text


def test_without_triton_the_net_runs_as_it_is_for_ever(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delitem(sys.modules, "service.inference.cuda.style_net", raising=False)
    monkeypatch.delitem(sys.modules, "service.inference.cuda.normalisation", raising=False)
    monkeypatch.delitem(sys.modules, "service.inference.cuda.kernels", raising=False)
    monkeypatch.setitem(sys.modules, "triton", None)
    net = a_net()

    form = form_or_net(net, lambda: rearranged(net, torch.float16))

    assert isinstance(form, GraphedNet)
    assert form.net is net
    assert "triton" in caplog.text


def test_the_new_layout_of_a_net_that_runs_as_it_is_is_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    net = a_net()
    kernel = next(net.parameters())
    layouts: list[bool] = []

    class Stream:
        def synchronize(self) -> None:
            layouts.append(kernel.is_contiguous(memory_format=torch.channels_last))

    def fail(_net: TransformNet, _dtype: torch.dtype) -> TransformNet:
        raise ImportError("no triton")

    monkeypatch.setattr("service.inference.cuda.form.rearranged", fail)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: HOPPER)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _device: Stream())

    form_for_cuda(net, torch.device("cuda"), is_exact=False)

    assert layouts[-1:] == [True]


class Maker:
    """A function that makes the form of a net, after a number of errors."""

    def __init__(self, net: TransformNet, *errors: Exception) -> None:
        self.errors = list(errors)
        self.form = Wrong(net, torch.zeros_like)
        """Form whose results are 0, so that a test can tell it from the net."""

    def __call__(self) -> TransformNet:
        if self.errors:
            raise self.errors.pop(0)
        return self.form


def test_a_form_that_cannot_be_made_now_is_used_as_soon_as_it_can(caplog: pytest.LogCaptureFixture) -> None:
    net, pictures = a_net(), torch.rand(1, 3, 20, 16)
    wanted = net(pictures)
    make = Maker(net, OSError("no space left on device"), RuntimeError("ptxas was killed"))

    form = form_or_net(net, make)

    assert isinstance(form, AwaitedForm)
    assert (form.task, form.factor, form.multiple) == (net.task, net.factor, net.multiple)
    torch.testing.assert_close(form(pictures), wanted)
    assert len(make.errors) == 1, "it is not tried again at once"
    assert "StyleNet runs in float32 as it is" in caplog.text
    assert "no space left on device" in caplog.text


def test_a_form_is_waited_for_with_a_pause_after_each_attempt() -> None:
    net, pictures = a_net(), torch.rand(1, 3, 20, 16)
    wanted = net(pictures)
    make = Maker(net, RuntimeError("ptxas was killed"))

    form = AwaitedForm(net, make, pause=0)

    with torch.inference_mode():
        torch.testing.assert_close(form(pictures), wanted)
        for _ in range(2):
            assert torch.count_nonzero(form(pictures)) == 0
    assert make.errors == []


@pytest.mark.parametrize(("message", "code"), [("CUDA error: out of memory", 2), ("CUDA error: unknown", 999)])
def test_without_memory_or_a_device_no_net_is_made(
    message: str, code: int, cuda_error: Callable[[str, int], Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.inference.cuda.form.answers", lambda _device: False)
    net = a_net()

    with pytest.raises(torch.AcceleratorError, match=message):
        form_or_net(net, Maker(net, cuda_error(message, code)))
