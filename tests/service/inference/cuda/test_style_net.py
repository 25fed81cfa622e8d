"""Tests of the style net's form on CUDA, or by Triton's interpreter on machines without CUDA."""

import math
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from model_store.nets import StyleNet
from service.engine.lane import Lane
from service.inference import pieces
from service.inference.cuda.graphs import GraphedNet
from service.inference.cuda.style_net import CudaStyleNet


def a_net(device: torch.device, width: int = 4, residual_blocks: int = 2) -> StyleNet:
    """Return an untrained net, but with gains and biases that differ as much as those of a trained one."""
    torch.manual_seed(0)
    net = StyleNet(width, residual_blocks).eval()
    for norm in net.modules():
        if isinstance(norm, nn.InstanceNorm2d):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.uniform_(norm.bias, -1, 1)
    return net.to(device).requires_grad_(requires_grad=False)


@pytest.mark.parametrize("size", [(1, 16, 16), (2, 17, 30), (1, 39, 20)], ids=str)
def test_in_float32_the_form_makes_what_the_net_makes(device: torch.device, size: tuple[int, int, int]) -> None:
    net = a_net(device)
    count, height, width = size
    pictures = torch.rand(count, 3, height, width, device=device)

    torch.testing.assert_close(CudaStyleNet(net, torch.float32)(pictures), net(pictures), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("width", "residual_blocks"), [(3, 1), (16, 0)])
def test_nets_of_any_width_and_depth_will_do(device: torch.device, width: int, residual_blocks: int) -> None:
    net = a_net(device, width, residual_blocks)
    pictures = torch.rand(1, 3, 16, 20, device=device)

    torch.testing.assert_close(CudaStyleNet(net, torch.float32)(pictures), net(pictures), atol=1e-4, rtol=0)


def test_pictures_may_be_laid_out_in_any_way(device: torch.device) -> None:
    form = CudaStyleNet(a_net(device, residual_blocks=0), torch.float32)
    pictures = torch.rand(2, 3, 16, 16, device=device)

    for other in (pictures.contiguous(memory_format=torch.channels_last), pictures.mT.contiguous().mT):
        assert torch.equal(form(other), form(pictures))


@pytest.mark.parametrize(("dtype", "most"), [(torch.float16, 0.25 / 255), (torch.bfloat16, 2 / 255)], ids=str)
def test_in_half_precision_the_form_makes_nearly_what_the_net_makes(
    device: torch.device, dtype: torch.dtype, most: float
) -> None:
    net = a_net(device)
    pictures = torch.rand(1, 3, 24, 32, device=device)

    difference = (CudaStyleNet(net, dtype)(pictures) - net(pictures)).abs()

    assert 0 < difference.mean() < most


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_in_float16_kernels_may_be_of_any_scale(device: torch.device, scale: float) -> None:
    net = a_net(device)
    for module in net.modules():
        if isinstance(module, nn.Conv2d) and module is not net.decoder[-1]:
            module.weight *= scale
            module.bias *= scale  # type: ignore[operator]
        elif isinstance(module, nn.InstanceNorm2d):
            module.eps *= scale**2
    pictures = torch.rand(1, 3, 16, 20, device=device)

    difference = (CudaStyleNet(net)(pictures) - net(pictures)).abs()

    assert difference.mean() < 0.25 / 255


def test_in_half_precision_faint_pictures_keep_their_detail(device: torch.device) -> None:
    net = a_net(device)
    wave = torch.sin(torch.arange(32, device=device) * math.tau / 8)
    pictures = (0.9 + 0.02 * wave).expand(1, 3, 24, 32).contiguous()

    difference = (CudaStyleNet(net)(pictures) - net(pictures)).abs()

    assert difference.mean() < 0.25 / 255


@pytest.mark.parametrize(
    ("dtype", "colour"),
    [(torch.float16, (0.3, 0.7, 0.1)), (torch.float16, (1, 1, 1)), (torch.float32, (0, 0, 0))],
    ids=str,
)
def test_a_flat_picture_comes_out_flat(
    device: torch.device, dtype: torch.dtype, colour: tuple[float, float, float]
) -> None:
    net = a_net(device)
    pictures = (
        torch.tensor(colour, device=device, dtype=torch.float32).view(1, 3, 1, 1).expand(1, 3, 20, 24).contiguous()
    )

    found = CudaStyleNet(net, dtype)(pictures)

    assert torch.equal(found, found[..., :1, :1].expand_as(found))
    torch.testing.assert_close(found.mean((2, 3)), net(pictures).mean((2, 3)), atol=1e-3, rtol=0)


def test_no_memory_around_the_tensors_is_read_or_written(
    device: torch.device, guard: Callable[[Tensor], Tensor]
) -> None:
    net = a_net(device)
    form = CudaStyleNet(net, torch.float32)
    pictures = torch.rand(2, 3, 20, 16, device=device)

    torch.testing.assert_close(form(guard(pictures)), net(pictures), atol=1e-4, rtol=0)


def test_the_net_stays_as_it_was(device: torch.device) -> None:
    net = a_net(device)
    before = {key: value.clone() for key, value in net.state_dict().items()}

    CudaStyleNet(net)

    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_a_large_picture_is_painted_in_pieces_as_the_net_makes_it(device: torch.device) -> None:
    net = a_net(device)
    pixels = torch.randint(0, 256, (50, 39, 3), dtype=torch.uint8)

    with torch.inference_mode():
        found = CudaStyleNet(net).compute_in_pieces(pixels)
        wanted = net(pixels.to(device).permute(2, 0, 1)[None] / 255)[0].permute(1, 2, 0).mul(255)

    assert found.device.type == "cpu"
    assert found.shape == pixels.shape
    assert (found - wanted.cpu()).abs().max() < 0.9


@pytest.mark.parametrize(("gibibytes", "most_megapixels"), [(8, 8), (24, 25), (80, 83)])
def test_a_picture_is_large_if_its_features_take_a_quarter_of_the_memory(
    device: torch.device, gibibytes: int, most_megapixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = CudaStyleNet(a_net(device, width=32, residual_blocks=0))
    properties = SimpleNamespace(total_memory=gibibytes * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _device: properties)

    assert not form.is_large(1000, most_megapixels * 1000)
    assert form.is_large(1000, (most_megapixels + 1) * 1000)


@pytest.mark.cuda
def test_on_cuda_a_picture_in_pieces_takes_a_fraction_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cuda")
    form, lane = GraphedNet(CudaStyleNet(a_net(torch.device("cpu"), width=32)).to(device)), Lane(device)
    pixels = torch.randint(0, 256, (2000, 3000, 3), dtype=torch.uint8)

    def painted() -> tuple[Tensor, int]:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        (made,) = lane.compute(form, [pixels])
        return made, torch.cuda.max_memory_allocated() - before

    whole, bytes_of_whole = painted()
    monkeypatch.setattr("service.inference.cuda.style_net._MEMORY_SHARE", 0)
    monkeypatch.setattr("service.inference.cuda.style_net._BAND_PIXELS", 2**17)
    in_pieces, bytes_in_pieces = painted()

    assert (in_pieces.float() - whole.float()).abs().mean() < 0.5
    assert bytes_in_pieces < bytes_of_whole / 2
    assert bytes_of_whole < 256 * pixels.shape[0] * pixels.shape[1]


@pytest.mark.cuda
def test_on_cuda_others_are_painted_between_the_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cuda")
    form, lane = GraphedNet(CudaStyleNet(a_net(device))), Lane(device)
    large, small = (torch.randint(0, 256, (height, 64, 3), dtype=torch.uint8) for height in (256, 32))
    (expected,) = lane.compute(form, [small])
    monkeypatch.setattr("service.inference.cuda.style_net._BAND_PIXELS", 1)
    monkeypatch.setattr(CudaStyleNet, "is_large", lambda _self, height, _width: height > 32)
    (alone,) = lane.compute(form, [large])
    between: list[Tensor] = []

    def let_in() -> None:
        if len(between) < 3:
            with pieces.paused_by(lambda: None):
                between.extend(lane.compute(form, [small]))

    with pieces.paused_by(let_in):
        (made,) = lane.compute(form, [large])

    assert torch.equal(made, alone)
    assert len(between) == 3
    assert all((each.float() - expected.float()).abs().max() <= 1 for each in between)
