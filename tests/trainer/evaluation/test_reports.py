"""The reports of evaluations: tables, files and plots."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from rich.console import Console

from trainer.errors import BadOutput
from trainer.evaluation.reports import Column, EvaluationReport, ReportPicture, Table, bars, curves, prepare

CPU = torch.device("cpu")


@pytest.fixture
def table() -> Table:
    columns = (Column("method"), Column("PSNR", 2, "highest"), Column("error", 3, "lowest"), Column("seconds", 1))
    rows = (("bicubic", 28.431, 0.5, None), ("net | sharp", 31.514, 0.25, 1.25), ("other", 31.5139, 0.75, 2))
    return Table("Set5, ×4", columns, rows)


@pytest.fixture
def report(table: Table) -> EvaluationReport:
    plot = ReportPicture("PSNR", "psnr.png")
    return EvaluationReport("Super-resolution", "impasto evaluate all", CPU, [table], [plot], ["Measured on luma."])


def test_numbers_are_right_aligned_and_the_best_are_bold(table: Table) -> None:
    assert table.markdown().splitlines() == [
        "## Set5, ×4",
        "",
        "| method | PSNR | error | seconds |",
        "| --- | ---: | ---: | ---: |",
        "| bicubic | 28.43 | 0.500 | – |",
        "| net \\| sharp | **31.51** | **0.250** | 1.2 |",
        "| other | **31.51** | 0.750 | 2 |",
    ]


def test_the_terminal_shows_the_same_figures(table: Table) -> None:
    console = Console(width=100)
    with console.capture() as printed:
        console.print(table.rich())
    lines = printed.get().splitlines()
    assert lines[0].strip() == "Set5, ×4"
    assert lines[-1].split() == ["other", "31.51", "0.750", "2"]


def test_a_narrow_terminal_wraps_the_names_of_columns_rather_than_those_of_rows() -> None:
    columns = [Column("method"), *(Column(f"{data} PSNR") for data in ("Set5", "Set14", "BSD100"))]
    console = Console(width=40)
    with console.capture() as printed:
        console.print(Table("×4", columns, [("sparse coding (dictionary)", 29.74, 27.01, 26.59)]).rich())
    assert "sparse coding (dictionary)" in printed.get()


def test_rows_that_do_not_fit_the_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="a row has 1 cells, and there are 2 columns"):
        Table("Set5", (Column("method"), Column("PSNR")), [("bicubic",)])


def test_two_columns_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="same name"):
        Table("Set5", (Column("PSNR"), Column("PSNR")), [])


def test_a_report_says_how_it_was_made(report: EvaluationReport, table: Table, tmp_path: Path) -> None:
    report.write(tmp_path)
    written = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert written.startswith("# Super-resolution\n\n    impasto evaluate all\n\nOn cpu (")
    assert f"torch {torch.__version__}" in written
    assert "Measured on luma." in written
    assert table.markdown() in written
    assert "![PSNR](psnr.png)" in written


def test_machines_read_the_figures_unrounded(report: EvaluationReport, tmp_path: Path) -> None:
    report.write(tmp_path)
    written = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert written["command"] == "impasto evaluate all"
    assert written["tables"][0]["rows"][1] == {"method": "net | sharp", "PSNR": 31.514, "error": 0.25, "seconds": 1.25}


def test_figures_that_are_not_finite_are_null(tmp_path: Path) -> None:
    table = Table("Set5", (Column("method"), Column("PSNR", best="highest")), [("net", float("nan"))])
    EvaluationReport("t", "c", CPU, [table]).write(tmp_path)
    assert json.loads((tmp_path / "report.json").read_text())["tables"][0]["rows"] == [{"method": "net", "PSNR": None}]
    assert "| net | – |" in table.markdown()


def test_the_folder_of_a_report_is_made(tmp_path: Path) -> None:
    prepare(tmp_path / "evaluation" / "style")
    assert list((tmp_path / "evaluation" / "style").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadOutput, match=r"cannot write a report into .*file/folder: .*choose another --output"):
        prepare(tmp_path / "file" / "folder")


def test_a_report_that_cannot_be_written_is_refused(report: EvaluationReport, tmp_path: Path) -> None:
    with pytest.raises(BadOutput, match="cannot write the report into"):
        report.write(tmp_path / "nowhere")


def test_bars_are_drawn(tmp_path: Path) -> None:
    series: dict[str, list[float | None]] = {"bicubic": [28.4, 26.0, None], "net": [31.5, 28.0, 27.1]}
    bars(tmp_path / "bars.png", "×4", ["Set5", "Set14", "BSD100"], series, "PSNR, dB", lowest=24)
    with Image.open(tmp_path / "bars.png") as picture:
        assert picture.format == "PNG"


def test_curves_are_drawn(tmp_path: Path) -> None:
    curves(tmp_path / "curves.png", "Loss", {"net": [(0, 3.0), (1, 0.2)]}, ("step", "loss"), logarithmic=True)
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.format == "PNG"


def test_a_plot_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadOutput, match="cannot write the plot"):
        curves(tmp_path / "nowhere" / "curves.png", "Loss", {"net": []}, ("step", "loss"))
