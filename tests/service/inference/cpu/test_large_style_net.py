"""Tests of large paintings, which are computed in pieces, with the sizes at which pictures are large lowered."""

import copy

import pytest
import torch
from torch import Tensor

from model_store.nets import StyleNet
from service.engine.lane import Lane
from service.inference import inference_form, large_painting, pieces
from service.inference.cpu import large_style_net
from service.inference.cpu.large_style_net import LargeStyleNet

from ..test_forms import net_of

SIZES = [(16, 16), (17, 23), (40, 64), (33, 100), (210, 18), (67, 131), (161, 48)]
LANE = Lane(torch.device("cpu"))


@pytest.fixture(params=["float32", "half precision"])
def kept_type(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    most = 0 if request.param == "half precision" else 10**12
    monkeypatch.setattr(large_painting, "_MOST_PIXELS_IN_FLOAT32", most)
    return str(request.param)


@pytest.fixture
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_style_net, "_MOST_PIXELS_AT_ONCE", 0)
    monkeypatch.setattr(large_style_net, "_BAND_PIXELS", 1)


def noise(height: int, width: int) -> Tensor:
    return torch.randint(0, 256, (height, width, 3), dtype=torch.uint8)


def exactly(net: StyleNet, pixels: Tensor) -> Tensor:
    """Return what a net makes of pixels, in 255ths and not rounded."""
    with torch.inference_mode():
        result: Tensor = net(pixels.permute(2, 0, 1)[None] / 255)
    return result[0].permute(1, 2, 0) * 255


def style_net() -> tuple[StyleNet, LargeStyleNet]:
    net = net_of("style-net")
    assert isinstance(net, StyleNet)
    form = inference_form(copy.deepcopy(net))
    assert isinstance(form, LargeStyleNet)
    return net, form


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.usefixtures("everything_is_large", "cores")
def test_a_large_painting_is_what_the_net_makes(height: int, width: int, kept_type: str) -> None:
    net, form = style_net()
    pixels = noise(height, width)
    (made,) = LANE.compute(form, [pixels])
    assert made.shape == pixels.shape
    rounding = 0.6 if kept_type == "float32" else 0.8
    assert float((made - exactly(net, pixels)).abs().max()) < rounding


@pytest.mark.usefixtures("everything_is_large", "kept_type")
def test_a_painting_is_the_same_with_its_features_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    _, form = style_net()
    pixels = noise(161, 48)
    (expected,) = LANE.compute(form, [pixels])
    monkeypatch.setattr("service.inference.cpu.scratch._MOST_IN_MEMORY", 0)
    (made,) = LANE.compute(form, [pixels])
    assert torch.equal(made, expected)


@pytest.mark.usefixtures("everything_is_large", "cores", "kept_type")
def test_a_flat_photo_comes_out_flat_when_it_is_large() -> None:
    _, form = style_net()
    (made,) = LANE.compute(form, [torch.full((161, 50, 3), 77, dtype=torch.uint8)])
    assert int((made.int() - made[0, 0].int()).abs().max()) == 0


@pytest.mark.usefixtures("everything_is_large")
def test_pixels_may_lie_in_memory_in_any_order() -> None:
    _, form = style_net()
    pixels = noise(80, 64)
    (expected,) = LANE.compute(form, [pixels])
    (made,) = LANE.compute(form, [pixels.permute(2, 0, 1).contiguous().permute(1, 2, 0)])
    assert torch.equal(made, expected)


@pytest.mark.usefixtures("everything_is_large")
def test_a_large_painting_leaves_the_photo_and_the_number_of_threads_as_they_were() -> None:
    _, form = style_net()
    pixels, threads = noise(80, 64), torch.get_num_threads()
    before = pixels.clone()
    LANE.compute(form, [pixels])
    assert torch.equal(pixels, before)
    assert torch.get_num_threads() == threads


@pytest.mark.usefixtures("everything_is_large")
def test_other_pictures_may_be_painted_between_the_pieces() -> None:
    _, form = style_net()
    large, small = noise(161, 64), noise(32, 48)
    expected = [LANE.compute(form, [each])[0] for each in (large, small)]
    between: list[Tensor] = []

    def let_in() -> None:
        if len(between) < 3:
            with pieces.paused_by(lambda: None):
                between.extend(LANE.compute(form, [small]))

    with pieces.paused_by(let_in):
        (made,) = LANE.compute(form, [large])
    assert torch.equal(made, expected[0])
    assert len(between) == 3
    assert all(torch.equal(each, expected[1]) for each in between)


@pytest.mark.usefixtures("everything_is_large")
def test_the_progress_of_a_large_painting_is_told_from_0_to_almost_1() -> None:
    _, form = style_net()
    made: list[float] = []
    with pieces.told_to(made.append):
        LANE.compute(form, [noise(161, 64)])
    assert made[0] == 0
    assert made == sorted(made)
    assert 0.8 < made[-1] < 1


@pytest.mark.usefixtures("everything_is_large")
def test_an_error_between_two_pieces_ends_a_large_painting() -> None:
    _, form = style_net()
    pauses = 0

    def leave() -> None:
        nonlocal pauses
        pauses += 1
        if pauses == 5:
            raise TimeoutError

    threads = torch.get_num_threads()
    with pieces.paused_by(leave), pytest.raises(TimeoutError):
        LANE.compute(form, [noise(161, 64)])
    assert pauses == 5
    assert torch.get_num_threads() == threads


def test_a_large_painting_needs_a_fraction_of_the_memory_of_a_small_one() -> None:
    form = inference_form(StyleNet().eval())
    assert form.bytes_needed(1000, 1000) == 10**6 * form.bytes_per_pixel
    assert not form.is_large(1000, 1000)
    assert form.is_large(3000, 4000)
    assert form.bytes_needed(3000, 4000) <= 90 * 3000 * 4000
    assert form.bytes_needed(6048, 8064) <= 50 * 6048 * 8064
    assert form.bytes_needed(10_000, 10_000) <= 45 * 10_000**2
