"""The command `impasto evaluate super-resolution`."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from PIL import Image
from torch import nn
from typer.testing import CliRunner

from model_store.errors import ImpastoError
from model_store.nets import SuperResolutionNet
from model_store.settings import StoreSettings
from trainer.baselines.sparse_coding import SparseCoding
from trainer.commands.evaluate_super_resolution import evaluate_super_resolution
from trainer.data.squares import load_tiles
from trainer.errors import BadLossNetwork
from trainer.evaluation import perceptual_distance

from ...drafts import draft_of

pytestmark = pytest.mark.training


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.command()(evaluate_super_resolution)
    return app


@pytest.fixture
def few(photos: Path) -> Path:
    """Make a folder of two of the photos, of 96×72."""
    folder = photos.parent / "Few"
    folder.mkdir()
    for name in ("00.png", "01.png"):
        (photos / name).rename(folder / name)
    return folder


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a store that has only small ×2 and ×4 nets, which enlarge like bicubic interpolation."""
    monkeypatch.setattr("model_store.settings.BUNDLED", tmp_path / "nothing")
    monkeypatch.setenv("IMPASTO_STORE", str(tmp_path / "store"))
    for factor in (2, 4):
        net = SuperResolutionNet(factor, channels=4, residual_blocks=1)
        nn.init.zeros_(net.last.weight)
        draft = draft_of("super-resolve", f"tiny-x{factor}", factor=factor)
        StoreSettings().open().publish(draft, net.state_dict())


def run(app: typer.Typer, *arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def figures(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each table of a report, keyed by its title."""
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return {table["title"]: table["rows"] for table in report["tables"]}


def test_one_model_and_one_data_set_make_a_table_with_and_one_without_the_blur(
    app: typer.Typer, few: Path, tmp_path: Path
) -> None:
    printed = run(app, "--model", "tiny-x4", "--hr", few, "-o", tmp_path / "out")
    tables = figures(tmp_path / "out")
    assert list(tables) == ["×4, shrunk without a blur", "×4, shrunk after a blur of σ 1.0"]
    sharp, blurred = tables.values()
    assert [list(row) for row in sharp] == [["method", "Few PSNR", "Few SSIM"]] * 2
    assert [row["method"] for row in sharp] == ["bicubic", "tiny-x4@1"]
    assert blurred[0]["Few PSNR"] < sharp[0]["Few PSNR"]
    assert f"{sharp[0]['Few PSNR']:.2f}" in printed
    assert "wrote" in printed


def test_the_report_has_plots_and_a_contact_sheet(app: typer.Typer, few: Path, tmp_path: Path) -> None:
    run(app, "--model", "tiny-x4", "--hr", few, "-o", tmp_path / "out")
    written = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    for name in ("psnr-x4.png", "psnr-x4-blurred.png", "contact-sheet.png"):
        assert f"]({name})" in written
        Image.open(tmp_path / "out" / name).verify()


def test_methods_are_grouped_by_factor(app: typer.Typer, photos: Path, few: Path, tmp_path: Path) -> None:
    dictionary = tmp_path / "dictionary.safetensors"
    SparseCoding.learn(load_tiles([photos], 64).train.decode(), 4, atoms=16).save(dictionary)
    options = ["--model", "tiny-x4", "--model", "super-resolve/tiny-x2@1", "--sparse-coding", dictionary, "--no-blur"]
    run(app, *options, "--match-histogram", "--hr", few, "--hr", photos, "-o", tmp_path / "out")
    tables = figures(tmp_path / "out")
    assert {title: [row["method"] for row in rows] for title, rows in tables.items()} == {
        "×2, shrunk without a blur": ["bicubic", "tiny-x2@1", "tiny-x2@1, histogram matched"],
        "×4, shrunk without a blur": [
            "bicubic",
            "sparse coding (dictionary)",
            "tiny-x4@1",
            "tiny-x4@1, histogram matched",
        ],
    }
    assert list(tables["×4, shrunk without a blur"][0])[1:] == ["Few PSNR", "Few SSIM", "photos PSNR", "photos SSIM"]


def test_without_a_name_all_models_are_measured(app: typer.Typer, few: Path, tmp_path: Path) -> None:
    run(app, "--blur", "--hr", few, "-o", tmp_path / "out")
    methods = [row["method"] for rows in figures(tmp_path / "out").values() for row in rows]
    assert methods == ["bicubic", "tiny-x2@1", "bicubic", "tiny-x4@1"]


def test_lpips_is_a_column_if_its_weights_can_be_loaded(
    app: typer.Typer, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(perceptual_distance, "load_lpips", lambda _: lambda *_: 0.25)
    run(app, "--model", "tiny-x4", "--no-blur", "--lpips", "--hr", few, "-o", tmp_path / "out")
    (rows,) = figures(tmp_path / "out").values()
    assert [row["Few LPIPS"] for row in rows] == [0.25, 0.25]


def test_without_the_weights_of_lpips_a_sentence_says_so(
    app: typer.Typer, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(device: torch.device) -> None:
        raise BadLossNetwork(f"no weights for {device}")

    monkeypatch.setattr(perceptual_distance, "load_lpips", fail)
    printed = run(app, "--model", "tiny-x4", "--no-blur", "--lpips", "--hr", few, "-o", tmp_path / "out")
    assert "LPIPS was not measured: no weights for cpu." in printed
    assert "LPIPS was not measured" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")


def test_the_distance_of_features_is_a_column_whose_lowest_is_bold(
    app: typer.Typer, few: Path, tmp_path: Path, vgg19_weights: Path
) -> None:
    source = f"vgg19-normalised:{vgg19_weights}"
    options = ["--model", "tiny-x4", "--blur", "--match-histogram", "--feature-distance", source]
    run(app, *options, "--hr", few, "-o", tmp_path / "out")
    (rows,) = figures(tmp_path / "out").values()
    distances = [row["Few features"] for row in rows]
    assert 0 < min(distances) < max(distances) < 1
    written = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert f"| **{min(distances):.4f}** |" in written
    assert f"| {max(distances):.4f} |" in written
    assert "at relu2_2 of vgg19-normalised," in written


def test_a_loss_network_that_cannot_be_loaded_is_refused_before_any_work(
    app: typer.Typer, few: Path, tmp_path: Path
) -> None:
    with pytest.raises(ImpastoError, match="cannot read the weights of vgg16-caffe"):
        run(app, "--feature-distance", "vgg16-caffe:nothing", "--hr", few, "-o", tmp_path / "out")


def test_a_self_ensemble_is_a_row_behind_its_net(app: typer.Typer, few: Path, tmp_path: Path) -> None:
    options = ["--model", "tiny-x4", "--no-blur", "--self-ensemble", "--match-histogram"]
    run(app, *options, "--hr", few, "-o", tmp_path / "out")
    (rows,) = figures(tmp_path / "out").values()
    names = ["bicubic", "tiny-x4@1", "tiny-x4@1, self-ensemble", "tiny-x4@1, histogram matched"]
    assert [row["method"] for row in rows] == names
    assert rows[2]["Few PSNR"] == pytest.approx(rows[1]["Few PSNR"], abs=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "tiny-x4", "--model", "tiny-x4@1"], "tiny-x4@1 ×4 is there twice"),
        (["--model", "tiny-x4", "--hr", "again/Few"], "two folders have the same name"),
    ],
)
def test_methods_of_the_same_name_are_refused(
    app: typer.Typer, few: Path, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(few.parent)
    Path("again/Few").mkdir(parents=True)
    (few / "00.png").rename("again/Few/00.png")
    result = CliRunner().invoke(app, ["--hr", "Few", *arguments], terminal_width=200)
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(
    app: typer.Typer, few: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(ImpastoError, match="cannot write a report into"):
        run(app, "--model", "tiny-x4", "--hr", few, "-o", tmp_path / "out")
