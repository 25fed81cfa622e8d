"""Errors of style and content at taps of a loss network."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from trainer.data.photos import load_picture
from trainer.errors import BadLossNetwork
from trainer.evaluation.tap_errors import TapErrors, TapMeasure, load_deep_measure, mean_errors
from trainer.objectives.loss_networks import load_loss_network
from trainer.recipes import StyleRecipe

from ...nets import Constant, Identity

CPU = torch.device("cpu")


@pytest.fixture
def painting(style_picture: Path) -> Tensor:
    return load_picture(style_picture)[..., :32, :32]


@pytest.fixture
def crops() -> Tensor:
    return torch.randint(256, (6, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.fixture
def measure(vgg19_weights: Path, painting: Tensor) -> TapMeasure:
    recipe = StyleRecipe(
        loss_networks=(f"vgg19-normalised:{vgg19_weights}",),
        content_taps=("relu2_1=0.5",),
        style_taps=("relu1_1", "relu2_1/2"),
    )
    network = load_loss_network(recipe.loss_networks, (*recipe.content_taps, *recipe.style_taps))
    return TapMeasure.of_training(recipe, network, painting)


def test_photos_have_their_own_content_and_not_the_style(measure: TapMeasure, crops: Tensor) -> None:
    style, content = mean_errors(measure.errors_of(None, crops))
    assert style > 0.1
    assert content == pytest.approx(0, abs=1e-6)
    assert mean_errors(measure.errors_of(Identity().eval(), crops)) == pytest.approx((style, content))


def test_the_style_picture_itself_has_the_style_and_not_the_content(
    measure: TapMeasure, painting: Tensor, crops: Tensor
) -> None:
    style, content = mean_errors(measure.errors_of(Constant(painting), crops))
    assert style == pytest.approx(0, abs=1e-6)
    assert content > 0.1


def test_the_errors_of_a_picture_do_not_depend_on_its_batch(measure: TapMeasure, crops: Tensor) -> None:
    together = measure.errors_of(None, crops)
    assert len(together) == 6
    for number, errors in enumerate(together):
        assert measure.errors_of(None, crops[number : number + 1]) == [pytest.approx(errors, rel=1e-4)]


def test_a_mean_needs_photos(measure: TapMeasure, crops: Tensor) -> None:
    with pytest.raises(ValueError, match="no photos"):
        mean_errors(measure.errors_of(None, crops[:0]))


def test_errors_are_worse_only_if_both_are_larger() -> None:
    assert TapErrors(0.2, 2.0).is_worse_than(TapErrors(0.1, 1.0))
    assert not TapErrors(0.2, 0.5).is_worse_than(TapErrors(0.1, 1.0))
    assert not TapErrors(0.1, 1.0).is_worse_than(TapErrors(0.1, 1.0))


def test_the_deep_measure_is_at_the_papers_taps(vgg16_weights: Path, painting: Tensor) -> None:
    measure = load_deep_measure(["vgg19", f"vgg16-caffe:{vgg16_weights}"], painting, CPU)
    assert measure is not None
    assert [tap.layer for tap in measure.style_taps] == ["relu1_2", "relu2_2", "relu3_3", "relu4_3"]
    assert [tap.layer for tap in measure.content_taps] == ["relu2_2"]


def test_there_is_no_deep_measure_without_a_vgg16_that_reaches_the_taps(vgg19_weights: Path, painting: Tensor) -> None:
    assert load_deep_measure([f"vgg19-normalised:{vgg19_weights}"], painting, CPU) is None
    assert load_deep_measure([f"vgg16-caffe:{vgg19_weights}"], painting, CPU) is None


def test_a_vgg16_without_a_file_is_reported(tmp_path: Path, painting: Tensor) -> None:
    with pytest.raises(BadLossNetwork, match="cannot read the weights"):
        load_deep_measure([f"vgg16-caffe:{tmp_path / 'missing'}"], painting, CPU)
