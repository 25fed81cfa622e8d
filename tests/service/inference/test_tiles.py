"""Tests of large pictures that are computed tile by tile."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from model_store.nets import SRCNN, SelfEnsemble, StyleNet, SuperResolutionNet, TransformNet
from model_store.nets.transform_net import TILE_BYTES
from service.engine.lane import Lane
from service.inference import inference_form, tiles
from service.inference.pieces import paused_by, told_to

NETS: dict[str, Callable[[], TransformNet]] = {
    "x2": lambda: SuperResolutionNet(2, 8, 1),
    "x4": lambda: SuperResolutionNet(4, 8, 2),
    "x8": lambda: SuperResolutionNet(8, 8, 1),
    "x4 folded": lambda: inference_form(SuperResolutionNet(4, 8, 2).eval()),
    "x8 folded": lambda: inference_form(SuperResolutionNet(8, 8, 2).eval()),
    "srcnn": lambda: SRCNN(4),
    "srcnn 9-5-5 x2": lambda: SRCNN(2, "9-5-5"),
    "self-ensemble": lambda: SelfEnsemble(inference_form(SuperResolutionNet(4, 8, 1).eval())),
}
LANE = Lane(torch.device("cpu"))


def strong(net: TransformNet) -> TransformNet:
    """Give every convolution kernels that let all of the receptive field count."""
    torch.manual_seed(0)
    for layer in net.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.uniform_(layer.weight, -1, 1)
            layer.weight.data /= layer.weight[0].abs().sum()
            torch.nn.init.uniform_(layer.bias, -0.1, 0.1)
    return net.eval()


def noise(height: int, width: int) -> Tensor:
    return torch.randint(0, 256, (height, width, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def plain(net: TransformNet, pixels: Tensor) -> Tensor:
    with torch.inference_mode():
        return net(pixels.permute(2, 0, 1)[None] / 255).mul(255).round().byte()[0].permute(1, 2, 0)


def halo_of(net: TransformNet) -> int:
    assert net.halo is not None
    return net.halo


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("size", [(75, 61), (40, 130)])
def test_tiles_make_what_the_whole_picture_makes(name: str, size: tuple[int, int]) -> None:
    net = strong(NETS[name]())
    pixels = noise(*size)
    whole = plain(net, pixels)
    tiled = tiles.enlarge(net, pixels, 2 * halo_of(net) + 17, lambda tile: plain(net, tile))
    assert tiled.shape == whole.shape
    assert (tiled.short() - whole.short()).abs().max() <= 1


@pytest.mark.parametrize("name", ["x4", "srcnn"])
def test_a_halo_is_no_larger_than_it_has_to_be(name: str) -> None:
    net = strong(NETS[name]()).double()
    changed = torch.rand(1, 3, 64, 64, dtype=torch.float64)
    before = net.transform(changed)
    changed[..., 32, :] += 1
    rows = (net.transform(changed) - before).abs().amax((0, 1, 3)).nonzero()
    reach = 32 - rows.min().item() / net.factor
    assert halo_of(net) - 2 <= reach <= halo_of(net)


def test_a_lane_computes_large_pictures_in_tiles_with_pauses_before_and_in_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.inference.tiles.TILE_BYTES", 1)  # the smallest tiles
    net = strong(NETS["x4 folded"]())
    pixels = noise(150, 70)
    pauses: list[int] = []
    made: list[float] = []
    with paused_by(lambda: pauses.append(1)), told_to(made.append):
        (tiled,) = LANE.compute(net, [pixels])
    assert made == pytest.approx([0, 1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6])  # 3 × 2 tiles
    assert len(pauses) > 2 * len(made)
    assert (tiled.short() - plain(net, pixels).short()).abs().max() <= 1


def test_an_error_between_two_tiles_ends_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.inference.tiles.TILE_BYTES", 1)

    def leave() -> None:
        raise RuntimeError("no longer wanted")

    with paused_by(leave), pytest.raises(RuntimeError, match="no longer wanted"):
        LANE.compute(NETS["x4 folded"](), [noise(150, 70)])


def test_a_net_with_statistics_of_the_whole_picture_is_not_computed_in_tiles() -> None:
    assert tiles.tile_side(StyleNet(width=8, residual_blocks=1)) is None


def test_large_pictures_need_memory_for_one_tile_and_for_the_answer() -> None:
    net = inference_form(SuperResolutionNet(4, 64, 16).eval())
    answer = 3 * 4000 * 3000 * 16
    assert net.bytes_needed(3000, 4000) == TILE_BYTES + answer
    assert net.bytes_needed(100, 100) == net.bytes_per_pixel * 100 * 100
    side = tiles.tile_side(net)
    assert side is not None
    assert side * side * net.bytes_per_pixel <= TILE_BYTES
