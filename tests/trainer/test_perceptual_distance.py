"""LPIPS, on an AlexNet that was not trained."""

import math
from collections.abc import Callable
from urllib.error import URLError

import pytest
import torch
import torchvision
from torch import Tensor, nn

from trainer import perceptual_distance
from trainer.errors import BadLossNetwork

CPU = torch.device("cpu")


@pytest.fixture
def distance(monkeypatch: pytest.MonkeyPatch) -> Callable[[Tensor, Tensor], float]:
    untrained = torchvision.models.alexnet

    def build(*, weights: object) -> nn.Module:  # noqa: ARG001
        torch.manual_seed(0)
        net: nn.Module = untrained(weights=None)
        return net

    monkeypatch.setattr(torchvision.models, "alexnet", build)
    return perceptual_distance.load(CPU)


def test_a_picture_has_no_distance_from_itself(distance: Callable[[Tensor, Tensor], float]) -> None:
    picture = torch.rand(1, 3, 31, 40)
    assert distance(picture, picture) == pytest.approx(0, abs=1e-6)


def test_other_pictures_have_a_distance(distance: Callable[[Tensor, Tensor], float]) -> None:
    torch.manual_seed(1)
    assert distance(torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64)) > 0


def test_one_measurement_does_not_depend_on_those_before(distance: Callable[[Tensor, Tensor], float]) -> None:
    pictures = torch.rand(2, 1, 3, 64, 64)
    first = distance(*pictures)
    distance(pictures[0], pictures[0])
    assert distance(*pictures) == first


def test_a_picture_too_small_for_the_net_has_none(distance: Callable[[Tensor, Tensor], float]) -> None:
    assert math.isnan(distance(torch.rand(1, 3, 30, 64), torch.rand(1, 3, 30, 64)))


def test_weights_that_cannot_be_downloaded_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*, weights: object) -> nn.Module:  # noqa: ARG001
        raise URLError("no network")

    monkeypatch.setattr(torchvision.models, "alexnet", fail)
    with pytest.raises(BadLossNetwork, match=r"cannot be had: .*no network"):
        perceptual_distance.load(CPU)
