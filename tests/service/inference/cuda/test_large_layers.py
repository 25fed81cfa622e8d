"""Layers of more than 2³¹ elements, whose places 32 bits do not hold; the same in small by Triton's interpreter."""

import pytest
import torch
from torch import Tensor, nn

from model_store.nets import StyleNet
from service.inference.cuda.normalisation import Features, Frame, Normalisation
from service.inference.cuda.style_net import CudaStyleNet


def need_memory(device: torch.device, size: int) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        if torch.cuda.mem_get_info(device)[0] < size:
            pytest.skip(f"needs {size / 2**30:.0f} GiB on the device")


@pytest.mark.parametrize(
    ("side", "needed"), [(24, 0), pytest.param(2900, 14 * 2**30, marks=pytest.mark.cuda)], ids=["small", "large"]
)
def test_a_layer_is_normalised_to_its_last_element(device: torch.device, side: int, needed: int) -> None:
    need_memory(device, needed)
    torch.manual_seed(0)
    channels = 256
    features = torch.randn(1, side, side, channels, dtype=torch.float16, device=device)
    norm = nn.InstanceNorm2d(channels, affine=True, device=device)
    nn.init.uniform_(norm.weight, 0.5, 2)
    nn.init.uniform_(norm.bias, -1, 1)

    frame = Normalisation(norm)(Features(features), Frame(1))

    for channel in (0, 100, channels - 1):
        plane = features[..., channel].float()
        gain, bias = norm.weight[channel].detach(), norm.bias[channel].detach()
        normal = (plane - plane.mean()) / (plane.var(unbiased=False) + norm.eps).sqrt() * gain + bias
        wanted = normal.relu() - bias.relu()
        torch.testing.assert_close(frame[:, 1:-1, 1:-1, channel].float(), wanted, atol=5e-3, rtol=0)
        torch.testing.assert_close(frame[:, -1, 1:-1, channel].float(), wanted[:, -2], atol=5e-3, rtol=0)


def tile(pictures: Tensor, row: int, column: int, side: int) -> Tensor:
    return pictures[..., row * side : (row + 1) * side, column * side : (column + 1) * side]


@pytest.mark.parametrize(
    ("width", "residual_blocks", "side", "number", "needed"),
    [(2, 0, 40, 4, 0), pytest.param(32, 5, 200, 41, 40 * 2**30, marks=pytest.mark.cuda)],
    ids=["small", "large"],
)
def test_a_pattern_is_painted_alike_wherever_it_is(
    device: torch.device, width: int, residual_blocks: int, side: int, number: int, needed: int
) -> None:
    need_memory(device, needed)
    torch.manual_seed(0)
    net = StyleNet(width, residual_blocks).eval().requires_grad_(requires_grad=False)
    form = CudaStyleNet(net).to(device)
    pictures = torch.rand(1, 3, side, side, device=device).repeat(1, 1, number, number)

    with torch.inference_mode():
        painted = form(pictures)

    last = number - 2  # the outermost see the border
    for row, column in ((1, last), (last, 1), (last, last)):
        torch.testing.assert_close(tile(painted, row, column, side), tile(painted, 1, 1, side), atol=2e-2, rtol=0)
