"""The benchmarks on little work: they must run and print their figures, whose values are not tested here."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.process

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def run(name: str, *options: str) -> dict[str, Any]:
    """Run a benchmark and return the results that it printed."""
    command = [sys.executable, BENCHMARKS / f"{name}.py", *options]
    environment = os.environ | {"IMPASTO_STORE": "nothing-here", "IMPASTO_DEVICE": "cpu"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    results: dict[str, Any] = json.loads(done.stdout)
    return results


def test_start_up_is_measured() -> None:
    results = run("start_up", "--starts", "1", "--size", "32")
    assert 0 < results["ready_s"]["median"] < results["first_picture_s"]["median"]


def test_overload_is_measured_and_every_request_is_answered(tmp_path: Path) -> None:
    written = tmp_path / "overload.json"
    options = ("--size", "32", "--clients", "4", "--peak-duration", "1", "--duration", "2", "--rounds", "1")
    results = run("overload", *options, "--json", str(written), "--env", "IMPASTO_MAX_IN_FLIGHT=4")
    assert json.loads(written.read_text()) == results
    assert results["all_answered"]
    [only] = results["rounds"]
    assert only["sent"] == only["answered"] > 0
    assert 0 < only["refused_share"] < 1
    assert only["resident_mib"]["most_during"] > 0


def test_mixed_traffic_is_measured() -> None:
    results = run("mixed_traffic", "--size", "32", "--requests", "20", "--rounds", "1")
    assert len(set(results["kinds"])) == 20
    assert results["not_good"] == 0
    assert results["mixed_to_sorted"] > 0


def test_many_pictures_are_measured_and_an_interrupted_run_is_completed() -> None:
    results = run("many_pictures", "--pictures", "9", "--loop-pictures", "1", "--size", "64")
    assert results["largest_mean_difference"] < 1
    assert results["batch_to_loop"] > 0
    assert results["interrupted"]["made"] + results["interrupted"]["left"] == 9
    assert results["all_are_there"]


def test_endurance_is_measured_and_leaves_nothing_in_flight() -> None:
    results = run("endurance", "--requests", "100", "--clients", "4", "--at-once", "8")
    assert sum(results["outcomes"].values()) == 100
    assert {"good: 200", "broken: 422"} <= set(results["outcomes"])
    assert results["refused_of_a_burst"] == {"after_a_tenth": 0, "at_the_end": 0}
    assert results["livez"] == 200


def test_serving_is_measured_against_both_peers() -> None:
    pytest.importorskip("litserve")
    results = run("serving", "--size", "32", "--clients", "2", "--rounds", "1", "--duration", "1", "--warm-up", "0")
    assert set(results["by_clients"]["2"]) == {"impasto", "handwritten", "litserve", "ours_to_better_peer"}
    assert all(each["not_good"] == 0 for each in results["by_clients"]["2"].values() if "not_good" in each)


def test_a_net_is_measured_in_its_serving_form_and_by_stages() -> None:
    results = run("net", "--size", "32", "--batch", "1", "--batch", "2", "--rounds", "1", "--device", "cpu", "--json")
    assert [(each["size"], each["batch"]) for each in results["runs"]] == [(32, 1), (32, 2)]
    for each in results["runs"]:
        assert each["ms_per_picture"].keys() == {"form", "float32"}
        assert each["difference_255ths"] < 0.1
        assert sum(stage["share"] for stage in each["stages"]) == pytest.approx(1, abs=0.02)
