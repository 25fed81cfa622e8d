"""Perceptual distances: LPIPS on an untrained AlexNet, and features of an untrained VGG."""

import math
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import pytest
import safetensors.torch
import torch
import torchvision
from torch import Tensor, nn

from trainer.errors import BadLossNetwork
from trainer.evaluation import perceptual_distance
from trainer.objectives.loss_networks import LAYOUTS, load_loss_network

CPU = torch.device("cpu")


@pytest.fixture
def distance(monkeypatch: pytest.MonkeyPatch) -> Callable[[Tensor, Tensor], float]:
    untrained = torchvision.models.alexnet

    def build(*, weights: object) -> nn.Module:  # noqa: ARG001
        torch.manual_seed(0)
        net: nn.Module = untrained(weights=None)
        return net

    monkeypatch.setattr(torchvision.models, "alexnet", build)
    return perceptual_distance.load_lpips(CPU)


@pytest.fixture
def vgg16_weights(tmp_path: Path) -> Path:
    """Write a file of random weights for a VGG-16 that ends at relu2_2."""
    torch.manual_seed(0)
    path = tmp_path / "vgg16.safetensors"
    safetensors.torch.save_file(LAYOUTS["vgg16-caffe"].build("relu2_2").state_dict(), path)
    return path


def test_a_picture_has_no_distance_from_itself(distance: Callable[[Tensor, Tensor], float]) -> None:
    picture = torch.rand(1, 3, 31, 40)
    assert distance(picture, picture) == pytest.approx(0, abs=1e-6)


def test_other_pictures_have_a_distance(distance: Callable[[Tensor, Tensor], float]) -> None:
    torch.manual_seed(1)
    assert distance(torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64)) > 0


def test_a_measurement_does_not_depend_on_earlier_ones(distance: Callable[[Tensor, Tensor], float]) -> None:
    pictures = torch.rand(2, 1, 3, 64, 64)
    first = distance(*pictures)
    distance(pictures[0], pictures[0])
    assert distance(*pictures) == first


def test_a_picture_too_small_for_the_net_has_no_distance(distance: Callable[[Tensor, Tensor], float]) -> None:
    assert math.isnan(distance(torch.rand(1, 3, 30, 64), torch.rand(1, 3, 30, 64)))


def test_weights_that_cannot_be_downloaded_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*, weights: object) -> nn.Module:  # noqa: ARG001
        raise URLError("no network")

    monkeypatch.setattr(torchvision.models, "alexnet", fail)
    with pytest.raises(BadLossNetwork, match=r"cannot be had: .*no network"):
        perceptual_distance.load_lpips(CPU)


def test_the_distance_of_features_is_equation_2_relative_to_the_truth(vgg16_weights: Path) -> None:
    source = f"vgg16-caffe:{vgg16_weights}"
    picture, truth = torch.rand(2, 1, 3, 30, 40).mul(255).round().div(255)
    network = load_loss_network([source], ["relu2_2"])
    (seen,), (wanted,) = (network(each).values() for each in (picture, truth))
    distance = perceptual_distance.load_feature_distance(source, CPU)
    assert distance(picture, truth) == pytest.approx(float((seen - wanted).square().sum() / wanted.square().sum()))
    assert distance(truth, truth) == 0


def test_features_are_those_of_the_picture_as_it_would_be_saved(vgg16_weights: Path) -> None:
    distance = perceptual_distance.load_feature_distance(f"vgg16-caffe:{vgg16_weights}", CPU)
    truth = torch.rand(1, 3, 30, 40).round()
    assert distance(truth + (truth - 0.5), truth) == 0
    assert distance(truth + 0.4 / 255, truth) == 0
    assert distance((truth - 0.6 / 255).abs(), truth) > 0


def test_a_loss_network_without_a_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(BadLossNetwork, match="cannot read the weights of vgg16-caffe"):
        perceptual_distance.load_feature_distance(f"vgg16-caffe:{tmp_path / 'nothing'}", CPU)
