"""Which parts there are, and in which order."""

import subprocess
import sys
from pathlib import Path

import pytest

from check_gpu.part import Part
from check_gpu.parts import stages

TESTS = Path(__file__).parents[1]


def parts(*, rehearses: bool) -> list[Part]:
    return [part for stage in stages(sys.executable, rounds=1, rehearses=rehearses) for part in stage.parts]


@pytest.fixture(params=[False, True], ids=["on a device", "rehearsed"])
def all_parts(request: pytest.FixtureRequest) -> list[Part]:
    return parts(rehearses=request.param)


def test_correctness_comes_before_figures(all_parts: list[Part]) -> None:
    assert all_parts[0].name == "installation"
    measures = ["benchmarks" in each.command[1] for each in all_parts]
    assert measures == sorted(measures)
    assert any(measures)
    assert any(each.is_test for each in all_parts)


def test_a_rehearsal_has_the_parts_of_the_day() -> None:
    day, rehearsal = (parts(rehearses=rehearses) for rehearses in (False, True))
    assert [each.name for each in day] == [each.name for each in rehearsal]


def test_every_file_with_tests_for_cuda_is_a_part_of_its_own(all_parts: list[Part]) -> None:
    mark = "mark." + "cuda"
    marked = {str(path) for path in TESTS.rglob("test_*.py") if mark in path.read_text()}
    kernels = TESTS / "service/inference/cuda"
    run_with_kernels = {str(kernels / f"test_{name}.py") for name in ("normalisation", "style_net", "graphs")}
    assert {each.command[-1] for each in all_parts if each.is_test} >= marked | run_with_kernels


def test_nothing_runs_on_another_device_by_itself() -> None:
    for rehearses, device in ((False, "cuda"), (True, "cpu")):
        for part in parts(rehearses=rehearses):
            assert part.is_test or part.environment["IMPASTO_DEVICE"] == device


@pytest.mark.process
def test_without_a_device_one_sentence_says_so(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "check_gpu", "--out", str(tmp_path / "out")]
    environment = {"PYTHONPATH": str(TESTS), "CUDA_VISIBLE_DEVICES": "", "PATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("check-gpu: there is no CUDA device")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
