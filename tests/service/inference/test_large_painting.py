"""Tests of large paintings on other devices than a CPU: layers as torch computes them, and the way through a lane."""

import pytest
import torch
from torch import Tensor, nn

from model_store.nets import StyleNet
from service.inference import large_painting, pieces
from service.inference.cpu.layers import Plain, PlainEnlarging, StyleLayers
from service.inference.large_painting import Painting

SIZES = [(16, 16), (17, 23), (40, 64), (33, 100), (210, 18), (67, 131)]


def a_net() -> StyleNet:
    torch.manual_seed(0)
    return StyleNet(8, 2).eval().requires_grad_(requires_grad=False)


def painted(net: StyleNet, photo: Tensor, band_pixels: int = 1) -> Tensor:
    with torch.inference_mode():
        return Painting(StyleLayers(net, Plain, PlainEnlarging), photo, band_pixels).paint()


def exactly(net: StyleNet, photo: Tensor) -> Tensor:
    """Return what a net makes of a photo, in 255ths and not rounded."""
    with torch.inference_mode():
        result: Tensor = net(photo.permute(2, 0, 1)[None] / 255)
    return result[0].permute(1, 2, 0) * 255


def noise(height: int, width: int) -> Tensor:
    return torch.randint(0, 256, (height, width, 3), dtype=torch.uint8)


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("most_in_float32", [0, 10**12], ids=["half precision", "float32"])
def test_plain_layers_paint_what_the_net_makes(
    height: int, width: int, most_in_float32: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_painting, "_MOST_PIXELS_IN_FLOAT32", most_in_float32)
    net, photo = a_net(), noise(height, width)

    made = painted(net, photo)

    assert made.shape == photo.shape
    assert float((made - exactly(net, photo)).abs().max()) < (0.7 if most_in_float32 else 0.9)


@pytest.mark.parametrize("band_pixels", [1, 5000, 10**9])
def test_a_painting_is_the_same_whatever_the_size_of_its_bands(band_pixels: int) -> None:
    net, photo = a_net(), noise(161, 48)

    made = painted(net, photo, band_pixels)

    assert float((made - exactly(net, photo)).abs().max()) < 0.7


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_kernels_may_be_of_any_scale(scale: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_painting, "_MOST_PIXELS_IN_FLOAT32", 0)
    net, photo = a_net(), noise(40, 64)
    for module in net.modules():
        if isinstance(module, nn.Conv2d) and module is not net.decoder[-1]:
            module.weight *= scale
            module.bias *= scale  # type: ignore[operator]
        elif isinstance(module, nn.InstanceNorm2d):
            module.eps *= scale**2

    made = painted(net, photo)

    assert float((made - exactly(net, photo)).abs().max()) < 0.9


def test_a_flat_photo_comes_out_flat() -> None:
    made = painted(a_net(), torch.full((161, 50, 3), 77, dtype=torch.uint8))

    assert int((made.int() - made[0, 0].int()).abs().max()) == 0


def test_the_larger_the_bands_the_fewer_the_pauses() -> None:
    pauses: list[list[float]] = [[], []]

    for band_pixels, told in zip((1, 5000), pauses, strict=True):
        with pieces.told_to(told.append):
            painted(a_net(), noise(161, 48), band_pixels)

    assert len(pauses[0]) > len(pauses[1]) > 1
    assert all(told == sorted(told) and told[0] == 0 and told[-1] < 1 for told in pauses)
