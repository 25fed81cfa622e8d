"""Tests of normalisation on CUDA, or by Triton's interpreter on other machines, which does not round to nearest."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from service.inference.cuda import normalisation
from service.inference.cuda.normalisation import Features, Frame, Normalisation, Residual

FRAMES = [
    Frame(0),
    Frame(1),
    Frame(1, reflects=False),
    Frame(3),
    Frame(2, in_cells=True),
    Frame(4, in_cells=True),
    Frame(2, reflects=False, in_cells=True),
]


def a_norm(channels: int, device: torch.device) -> nn.InstanceNorm2d:
    norm = nn.InstanceNorm2d(channels, affine=True, device=device)
    nn.init.uniform_(norm.weight, 0.5, 2)
    nn.init.uniform_(norm.bias, -1, 1)
    return norm.requires_grad_(requires_grad=False)


def to_cells(pictures: Tensor) -> Tensor:
    """Map `(N, C, H, W)` to cells `(N, H/2, W/2, 4·C)`."""
    count, channels, height, width = pictures.shape
    cells = pictures.view(count, channels, height // 2, 2, width // 2, 2).permute(0, 2, 4, 3, 5, 1)
    return cells.reshape(count, height // 2, width // 2, 4 * channels)


def laid_out(pictures: Tensor, *, in_cells: bool) -> Tensor:
    return to_cells(pictures) if in_cells else pictures.permute(0, 2, 3, 1).contiguous()


def framed(pictures: Tensor, frame: Frame) -> Tensor:
    padded = F.pad(pictures, (frame.margin,) * 4, mode="reflect" if frame.reflects else "replicate")
    return laid_out(padded, in_cells=frame.in_cells)


def activated(pictures: Tensor, norm: nn.InstanceNorm2d) -> Tensor:
    """Return the ReLU of the normalised pictures as a frame holds it, less that of a flat picture."""
    return norm(pictures).relu() - norm.bias[:, None, None].relu()


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("frame", FRAMES, ids=str)
@pytest.mark.parametrize("in_cells", [False, True], ids=["plain", "cells"])
def test_normalised_features_are_activated_into_every_kind_of_frame(
    device: torch.device, frame: Frame, in_cells: bool
) -> None:
    pictures = torch.randn(2, 8, 6, 10, device=device)
    norm = a_norm(8, device)

    found = Normalisation(norm)(Features(laid_out(pictures, in_cells=in_cells), in_cells), frame)

    torch.testing.assert_close(found, framed(activated(pictures, norm), frame))


@pytest.mark.parametrize("frame", FRAMES, ids=str)
@pytest.mark.parametrize("in_cells", [False, True], ids=["plain", "cells"])
def test_normalised_features_are_added_to_the_inside_of_another_frame(
    device: torch.device, frame: Frame, in_cells: bool
) -> None:
    pictures, others = torch.randn(2, 2, 8, 6, 10, device=device)
    norm = a_norm(8, device)
    residual = Residual(framed(others, Frame(1)), 1)

    found = Normalisation(norm)(Features(laid_out(pictures, in_cells=in_cells), in_cells), frame, residual)

    wanted = others + norm(pictures) - norm.bias[:, None, None]
    torch.testing.assert_close(found, framed(wanted, frame))


@pytest.mark.parametrize("channels", [1, 3, 32, 48, 256])
@pytest.mark.parametrize("size", [(1, 5, 9), (3, 4, 4), (1, 17, 16)], ids=str)
def test_any_number_of_channels_and_pixels_will_do(
    device: torch.device, channels: int, size: tuple[int, int, int]
) -> None:
    count, height, width = size
    pictures = torch.randn(count, channels, height, width, device=device)
    norm = a_norm(channels, device)

    found = Normalisation(norm)(Features(laid_out(pictures, in_cells=False)), Frame(1))

    torch.testing.assert_close(found, framed(activated(pictures, norm), Frame(1)))


@pytest.mark.parametrize(("most_parts", "at_once"), [(1, 64), (4, 64), (4, 2), (512, 4)])
def test_statistics_do_not_depend_on_how_they_are_divided(
    device: torch.device, monkeypatch: pytest.MonkeyPatch, most_parts: int, at_once: int
) -> None:
    monkeypatch.setattr(normalisation, "_MOST_PARTS", most_parts)
    monkeypatch.setattr(normalisation, "_PARTS_AT_ONCE", at_once)
    pictures = torch.randn(1, 256, 18, 19, device=device)
    norm = a_norm(256, device)

    found = Normalisation(norm)(Features(laid_out(pictures, in_cells=False)), Frame(0))

    torch.testing.assert_close(found, framed(activated(pictures, norm), Frame(0)))


def test_values_far_from_0_are_normalised_precisely(device: torch.device) -> None:
    pictures = 1000 + torch.randn(1, 4, 40, 60, device=device)
    norm = a_norm(4, device)

    found = Normalisation(norm)(Features(laid_out(pictures, in_cells=False)), Frame(0))

    exact = activated(pictures.double(), norm.double())
    torch.testing.assert_close(found.double(), framed(exact, Frame(0)), atol=1e-4, rtol=0)


@pytest.mark.parametrize("value", [0.0, 0.1, -1234.5, 1e30])
def test_a_flat_picture_becomes_exactly_0(device: torch.device, value: float) -> None:
    pictures = torch.full((1, 32, 30, 40), value, device=device)

    found = Normalisation(a_norm(32, device))(Features(laid_out(pictures, in_cells=False)), Frame(1))

    assert torch.count_nonzero(found) == 0


def test_a_picture_does_not_depend_on_the_others_of_its_batch(device: torch.device) -> None:
    pictures = torch.randn(3, 9, 40, 16, device=device)
    pictures[0] *= 1e4
    pictures[2] = float("nan")
    norm = Normalisation(a_norm(16, device))

    together = norm(Features(pictures), Frame(1))

    assert torch.equal(together[1], norm(Features(pictures[1:2].clone()), Frame(1))[0])


@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float16, 2**-11), (torch.bfloat16, 2**-7)], ids=str)
def test_half_precision_is_rounded_once(device: torch.device, dtype: torch.dtype, rounding: float) -> None:
    pictures, others = torch.randn(2, 2, 8, 12, 10, device=device).to(dtype)
    norm, features = a_norm(8, device), Features(laid_out(pictures, in_cells=True), in_cells=True)

    found = Normalisation(norm)(features, Frame(1), Residual(framed(others, Frame(1)), 1))

    wanted = others.float() + norm(pictures.float()) - norm.bias[:, None, None]
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), framed(wanted, Frame(1)), rtol=rounding, atol=1e-5)


def test_values_too_large_for_half_precision_become_its_largest(device: torch.device) -> None:
    pictures = torch.randn(1, 8, 12, 10, device=device)
    norm = a_norm(8, device)
    norm.weight.fill_(1e6)

    found = Normalisation(norm)(Features(laid_out(pictures, in_cells=False).half()), Frame(1))

    assert found.max() == torch.finfo(torch.float16).max


def test_features_may_have_another_scale_than_those_that_the_norm_was_trained_for(device: torch.device) -> None:
    pictures = 0.01 * torch.randn(1, 8, 12, 10, device=device)
    norm = a_norm(8, device)

    found = Normalisation(norm, scale=100)(Features(laid_out(pictures / 100, in_cells=False)), Frame(1))

    torch.testing.assert_close(found, framed(activated(pictures, norm), Frame(1)))


@pytest.mark.parametrize("in_cells", [False, True], ids=["plain", "cells"])
def test_no_memory_around_the_tensors_is_read_or_written(
    device: torch.device, guard: Callable[[Tensor], Tensor], in_cells: bool
) -> None:
    pictures, others = torch.randn(2, 2, 5, 6, 10, device=device)
    norm = a_norm(5, device)
    features = Features(guard(laid_out(pictures, in_cells=in_cells)), in_cells)
    residual = Residual(guard(framed(others, Frame(1))), 1)

    for frame in FRAMES:
        found = Normalisation(norm)(features, frame, residual)

        wanted = others + norm(pictures) - norm.bias[:, None, None]
        torch.testing.assert_close(found, framed(wanted, frame))
