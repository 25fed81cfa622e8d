"""The reconstruction of pictures from layers of a loss network."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import typer
from PIL import Image
from torch import Tensor
from typer.testing import CliRunner, Result

from trainer.baselines.gatys import noise, optimise
from trainer.baselines.reconstruction import content_error, smoothed, style_error
from trainer.commands.reconstruct import reconstruct_content, reconstruct_style
from trainer.data.photos import load_picture
from trainer.errors import BadLossNetwork, BadOutput
from trainer.objectives.loss_networks import LossNetwork, load_loss_network, parse_taps, weigh_taps
from trainer.objectives.losses import gram_matrix

pytestmark = pytest.mark.training

TAPS = ("relu1_1", "relu2_1", "relu3_1")
Reconstruct = Callable[..., Result]


@pytest.fixture
def sources(vgg19_weights: Path) -> list[str]:
    return [f"vgg19-normalised:{vgg19_weights}"]


@pytest.fixture
def network(sources: list[str]) -> LossNetwork:
    return load_loss_network(sources, TAPS)


@pytest.fixture
def picture(photo: Path) -> Tensor:
    return load_picture(photo, 32)


def found(objective: Callable[[Tensor], Tensor], like: Tensor) -> Tensor:
    return list(optimise(noise(like, 0), objective, 80))[-1].picture


def test_content_at_an_early_layer_is_the_picture_itself(
    network: LossNetwork, sources: list[str], picture: Tensor
) -> None:
    error = content_error(network, picture, parse_taps(["relu1_1"], sources)[0])
    assert float((found(error, picture) - picture).abs().mean()) < 0.02


def test_a_late_layer_keeps_less_of_the_picture(network: LossNetwork, sources: list[str], picture: Tensor) -> None:
    early, late = (
        found(content_error(network, picture, tap), picture) for tap in parse_taps(["relu1_1", "relu3_1"], sources)
    )
    assert (late - picture).square().mean() > 4 * (early - picture).square().mean()


def test_style_has_the_gram_matrices_of_the_picture_and_not_its_pixels(
    network: LossNetwork, sources: list[str], picture: Tensor
) -> None:
    taps = weigh_taps(["relu1_1", "relu2_1"], sources)
    result = found(style_error(network, picture, taps), picture)
    wanted, got = network(picture, taps), network(result, taps)
    for tap in taps:
        target = gram_matrix(wanted[tap])
        assert (gram_matrix(got[tap]) - target).norm() < 0.05 * target.norm()
    assert float((result - picture).abs().mean()) > 0.1


def test_style_may_come_from_a_picture_of_another_size(
    network: LossNetwork, sources: list[str], picture: Tensor
) -> None:
    error = style_error(network, picture, weigh_taps(["relu1_1"], sources))
    assert error(picture) == 0
    assert error(torch.rand(1, 3, 40, 36)) > 0


def test_the_style_error_is_a_weighted_mean_over_taps(
    network: LossNetwork, sources: list[str], picture: Tensor
) -> None:
    other = noise(picture, 1)
    first, second = (style_error(network, picture, weigh_taps([tap], sources))(other) for tap in TAPS[:2])
    both = style_error(network, picture, weigh_taps(["relu1_1=3", "relu2_1"], sources))(other)
    torch.testing.assert_close(both, (3 * first + second) / 4)


def test_total_variation_makes_the_picture_smoother(network: LossNetwork, sources: list[str], picture: Tensor) -> None:
    error = content_error(network, picture, parse_taps(["relu3_1"], sources)[0])

    def roughness(weight: float) -> float:
        result = found(smoothed(error, weight), picture)
        return float((result[..., 1:] - result[..., :-1]).square().mean())

    assert roughness(10.0) < 0.5 * roughness(0.0)


@pytest.fixture
def reconstruct(photo: Path, sources: list[str]) -> Reconstruct:
    app = typer.Typer()
    app.command("content")(reconstruct_content)
    app.command("style")(reconstruct_style)

    def run(kind: str, *words: object) -> Result:
        common = ["--loss-network", *sources, "--size", "32", "--iterations", "2"]
        return CliRunner().invoke(app, [kind, str(photo), *map(str, words), *common])

    return run


@pytest.mark.parametrize("words", [("content", "--tap", "relu2_1"), ("style", "--taps", "relu1_1,relu2_1=0.5")])
def test_one_reconstruction_is_written_by_itself(
    reconstruct: Reconstruct, tmp_path: Path, words: tuple[str, ...]
) -> None:
    result = reconstruct(*words, "-o", tmp_path / "out.png")
    assert result.exit_code == 0, result.output
    assert f"{words[2]}: relative error" in result.output
    with Image.open(tmp_path / "out.png") as written:
        assert written.size == (48, 32)


@pytest.mark.parametrize(
    "words",
    [
        ("content", "--tap", "relu1_1", "--tap", "relu3_1"),
        ("style", "--taps", "relu1_1", "--taps", "relu1_1,relu2_1"),
    ],
)
def test_several_are_written_on_a_sheet_beside_the_original(
    reconstruct: Reconstruct, tmp_path: Path, words: tuple[str, ...]
) -> None:
    result = reconstruct(*words, "-o", tmp_path / "out.png")
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "out.png") as written:
        assert written.width > 3 * 48


def test_a_tap_that_is_not_valid_is_refused(reconstruct: Reconstruct, tmp_path: Path) -> None:
    result = reconstruct("style", "--taps", "relu1_1,,relu2_1", "-o", tmp_path / "out.png")
    assert isinstance(result.exception, BadLossNetwork)


def test_an_output_that_cannot_be_written_is_reported_before_the_work(reconstruct: Reconstruct, tmp_path: Path) -> None:
    assert isinstance(reconstruct("content", "--tap", "relu9_9", "-o", tmp_path / "out").exception, BadOutput)
