"""What the report says of what parts wrote."""

import json
from pathlib import Path
from typing import Any

import pytest

from check_gpu.figures import Figure, figures
from check_gpu.part import Outcome, Part
from check_gpu.report import Run, write

NET = {
    "copy_gb_per_s": 4190.0,
    "matrix_product_tflop_per_s": 766.0,
    "runs": [
        {"size": 256, "batch": 32, "ms_per_picture": {"form": 0.05, "float32": 0.5}, "ceiling_ms_per_picture": 0.025},
        {"size": 1024, "batch": 4, "ms_per_picture": {"form": 0.9}, "ceiling_ms_per_picture": 0.4},
    ],
}
SERVED = {
    "loads": [
        {
            "size": 256,
            "clients": 64,
            "impasto": {"pictures_per_s": 5000.0},
            "handwritten": {"pictures_per_s": 200.0},
            "litserve": {"pictures_per_s": 400.0},
            "ours_to_better_peer": {"pictures_per_s": 12.5},
        },
        {
            "size": 1024,
            "clients": 64,
            "impasto": {"pictures_per_s": 300.0},
            "handwritten": {"pictures_per_s": 60.0},
            "ours_to_better_peer": {"pictures_per_s": 5.0},
        },
    ]
}
RESULTS = {"net: style": NET, "served beside the peers": SERVED}


def found(results: dict[str, Any] = RESULTS, *, rehearses: bool = False) -> dict[str, Figure]:
    return {each.name: each for each in figures(results, rehearses=rehearses)}


def test_figures_are_met_or_not() -> None:
    assert {name: each.is_met for name, each in found().items() if each.wanted} == {
        "net: style 256² ×32": True,
        "net: style 1024² ×4": False,
        "served 256², 64 clients": True,
        "served 1024², 64 clients": False,
    }


def test_figures_stand_beside_their_ceilings_and_peers() -> None:
    assert found()["net: style 256² ×32"].ceiling == 0.025
    assert found()["net: style 256² ×32"].beside == "float32 0.5"
    served = found()["served 256², 64 clients"]
    assert (served.value, served.ceiling) == (5000, 20_000)
    assert served.beside == "handwritten 200, litserve 400, 12.5 ×"


def test_of_a_rehearsal_nothing_is_wanted() -> None:
    assert not [each for each in found(rehearses=True).values() if each.wanted]


@pytest.mark.parametrize("results", [{}, {"net: style": None}, {"net: style": NET | {"runs": []}}])
def test_what_is_not_known_yet_is_left_out(results: dict[str, Any]) -> None:
    assert all(name.startswith("device") for name in found(results))


def test_the_report_is_read_by_people_and_by_programs(tmp_path: Path) -> None:
    outcomes = [
        Outcome(Part("installation", ("doctor",)), "passed", 2.0, output="versions\n  torch  2.11"),
        Outcome(Part("tests: graphs", ("pytest",)), "failed", 3.5, "1 failed; a|b", "assert 1 == 2"),
        Outcome(Part("net: style", ("net",)), "timed out", 9.0, results=NET),
    ]
    write(Run("NVIDIA H100, torch 2.11.0", 4, "2026-01-01 12:00 UTC"), outcomes, 15.0, tmp_path)

    lines = (tmp_path / "report.md").read_text().splitlines()
    assert lines[0] == "# Check on a GPU"
    assert lines[2] == "NVIDIA H100, torch 2.11.0. Started 2026-01-01 12:00 UTC; 15 s of 240 s."
    assert lines[3] == "Parts: 1 passed, 1 failed, 1 timed out."
    assert "| tests: graphs | failed | 3.5 | 1 failed; a/b |" in lines
    assert "| net: style 256² ×32 | 0.05 ms a picture | 0.025 | 50% | float32 0.5 | ≤ 0.052 | yes |" in lines
    assert (
        "| net: style 1024² ×4 | 0.9 ms a picture | 0.4 | 44% | the peers do not fit into memory | ≤ 0.85 | **no** |"
        in lines
    )
    assert lines.index("assert 1 == 2") > lines.index("## tests: graphs") > lines.index("  torch  2.11")

    document = json.loads((tmp_path / "report.json").read_text())
    assert document["host"] == "NVIDIA H100, torch 2.11.0"
    assert [each["status"] for each in document["parts"]] == ["passed", "failed", "timed out"]
    assert document["parts"][2]["results"] == NET
    assert document["figures"][2]["is_met"] is True


def test_results_that_cannot_be_read_do_not_end_the_check(tmp_path: Path) -> None:
    outcomes = [Outcome(Part("net: style", ("net",)), "passed", results={"other": 1})]
    write(Run("NVIDIA H100", 4, "2026-01-01 12:00 UTC"), outcomes, 1.0, tmp_path)
    assert "the results cannot be read: KeyError" in (tmp_path / "report.md").read_text()
    assert json.loads((tmp_path / "report.json").read_text())["parts"][0]["results"] == {"other": 1}
