"""Every form against its net, in pictures and batches of many sizes."""

import copy

import pytest
import torch
from torch import Tensor

from model_store.nets import TransformNet
from service.engine.lane import Lane
from service.inference import inference_form

from .test_forms import PARAMETERS, net_of

SMALL = [(1, 32, 32), (2, 33, 47), (4, 64, 18)]
LARGE = [(32, 64, 64), (1, 65, 79), (5, 128, 130), (16, 128, 256), (2, 511, 512), (1, 1024, 1023), (1, 2048, 2048)]
"""Pictures, height and width of what is made."""


def some_pictures(count: int, height: int, width: int) -> list[Tensor]:
    """Smooth ones with some noise: steps beside patches, of which each has its colour."""
    coarse = torch.rand(count, 3, max(2, height // 16), max(2, width // 16))
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    noisy = (255 * (smooth + 0.1 * torch.randn_like(smooth))).clamp(0, 255).byte()
    return list(noisy.permute(0, 2, 3, 1).contiguous())


def sizes_for(device: torch.device, factor: int) -> list[tuple[int, int, int]]:
    sizes = LARGE if device.type == "cuda" else SMALL
    return [(count, max(16, height // factor), max(16, width // factor)) for count, height, width in sizes]


@pytest.mark.parametrize("is_exact", [False, True], ids=["fast", "exact"])
@pytest.mark.parametrize("architecture", PARAMETERS)
def test_a_form_makes_what_its_net_makes_in_all_sizes_and_batches(
    architecture: str, is_exact: bool, each_device: torch.device, caplog: pytest.LogCaptureFixture
) -> None:
    net = net_of(architecture).to(each_device)
    form, lane = inference_form(copy.deepcopy(net), is_exact=is_exact), Lane(each_device)
    # The net itself in float32 to its full precision.
    torch.backends.cudnn.allow_tf32 = False
    most_mean, most = (0.05, 2) if is_exact else (0.35, 8)

    for size in sizes_for(each_device, net.factor):
        pictures = some_pictures(*size)
        wanted = lane.compute(net, pictures)
        for _ in range(3):  # alone, captured, by the graph
            found = lane.compute(form, pictures)
            for one, other in zip(found, wanted, strict=True):
                difference = (one.int() - other.int()).abs().float()
                assert difference.mean() < most_mean, f"{size}: {difference.mean()}"
                assert difference.max() <= most, f"{size}: {difference.max()}"
    assert caplog.records == []


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_an_enlargement_differs_from_the_nets_by_far_less_than_a_level(factor: int, each_device: torch.device) -> None:
    net: TransformNet = net_of("super-resolution-net", factor=factor)
    pictures = torch.rand(2, 3, 65, 80)
    with torch.inference_mode():
        wanted = net(pictures)
        found = inference_form(copy.deepcopy(net).to(each_device))(pictures.to(each_device)).cpu()

    assert 255 * (found - wanted).abs().mean() < 0.05


@pytest.mark.parametrize("architecture", PARAMETERS)
def test_without_half_precision_convolutions_are_not_rounded_either(
    architecture: str, each_device: torch.device
) -> None:
    net, pictures = net_of(architecture), torch.rand(1, 3, 64, 80)
    with torch.inference_mode():
        wanted = net(pictures)
        found = inference_form(copy.deepcopy(net).to(each_device), is_exact=True)(pictures.to(each_device)).cpu()

    assert 255 * (found - wanted).abs().mean() < 0.01
