"""The command `impasto optimize`."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer
from PIL import Image
from torch import Tensor
from typer.testing import CliRunner, Result

from trainer.baselines import gatys
from trainer.commands.optimize import optimize
from trainer.errors import BadOutput, BadRecipe

pytestmark = pytest.mark.training

Optimize = Callable[..., Result]


@pytest.fixture
def run(photo: Path, style_picture: Path, vgg19_weights: Path) -> Optimize:
    app = typer.Typer()
    app.command()(optimize)
    words = [photo, style_picture, "--loss-network", f"vgg19-normalised:{vgg19_weights}", "--size", 32]

    def run(*more: object) -> Result:
        return CliRunner().invoke(app, [str(word) for word in (*words, *more)])

    return run


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the optimisation behave as if Ctrl-C were typed during iteration 3."""
    whole = gatys.optimise

    def optimise(start: Tensor, objective: Callable[[Tensor], Tensor], iterations: int) -> Iterator[gatys.Iteration]:
        for iteration in whole(start, objective, iterations):
            if iteration.number == 3:
                raise KeyboardInterrupt
            yield iteration

    monkeypatch.setattr(gatys, "optimise", optimise)


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


@pytest.mark.parametrize("start", ["noise", "content"])
def test_a_photo_is_stylised_and_the_objective_reported(run: Optimize, tmp_path: Path, start: str) -> None:
    result = run("-o", tmp_path / "out.png", "--iterations", 2, "--from", start)
    assert result.exit_code == 0, result.output
    assert "iteration 2" in result.output
    assert f"wrote {tmp_path / 'out.png'}" in result.output
    assert size_of(tmp_path / "out.png") == (48, 32)


def test_more_iterations_have_a_lower_objective(run: Optimize, tmp_path: Path) -> None:
    def objective(iterations: int) -> float:
        output = run("-o", tmp_path / "out.png", "--iterations", iterations).output
        return float(output.split("objective ")[1].split(",")[0])

    assert objective(30) < 0.5 * objective(0)


def test_several_style_weights_make_a_sheet_beside_the_photo(run: Optimize, tmp_path: Path) -> None:
    result = run("-o", tmp_path / "out.jpg", "--iterations", 1, "--style-weight", 1, "--style-weight", 100)
    assert result.exit_code == 0, result.output
    assert "style weight 1:" in result.output
    assert "style weight 100:" in result.output
    width, height = size_of(tmp_path / "out.jpg")
    assert width > 4 * 40
    assert height > 32


def test_previews_are_written_beside_the_picture(run: Optimize, tmp_path: Path) -> None:
    run("-o", tmp_path / "out.png", "--iterations", 5, "--preview-every", 2)
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out-000002.png", "out-000004.png", "out.png"]


def test_previews_of_several_weights_do_not_overwrite_each_other(run: Optimize, tmp_path: Path) -> None:
    run("-o", tmp_path / "o.png", "--iterations", 1, "--preview-every", 1, "--style-weight", 0.5, "--style-weight", 2)
    assert sorted(path.name for path in tmp_path.glob("o*")) == ["o-0.5-000001.png", "o-2-000001.png", "o.png"]


@pytest.mark.usefixtures("interrupted")
def test_ctrl_c_writes_the_best_picture_so_far_and_says_so(run: Optimize, tmp_path: Path) -> None:
    result = run("-o", tmp_path / "out.png", "--iterations", 9)
    assert result.exit_code == 130
    assert "stopped at iteration 2 of 9" in result.output
    assert size_of(tmp_path / "out.png") == (48, 32)


def test_an_output_that_cannot_be_written_is_reported_before_the_work(run: Optimize, tmp_path: Path) -> None:
    result = run("-o", tmp_path / "out.docx", "--loss-network", "vgg19-normalised:missing")
    assert isinstance(result.exception, BadOutput)


def test_absolute_losses_need_their_weights(run: Optimize, tmp_path: Path) -> None:
    result = run("-o", tmp_path / "out.png", "--losses", "absolute", "--style-weight", 5)
    assert isinstance(result.exception, BadRecipe)


def test_taps_and_weights_can_be_chosen(run: Optimize, tmp_path: Path) -> None:
    words = "--content-tap relu1_1 --style-tap relu1_1 --style-tap relu2_1=0.5 --losses absolute"
    weights = "--content-weight 1 --style-weight 5 --variation-weight 0 --style-size 40"
    result = run("-o", tmp_path / "out.png", "--iterations", 1, *words.split(), *weights.split())
    assert result.exit_code == 0, result.output
