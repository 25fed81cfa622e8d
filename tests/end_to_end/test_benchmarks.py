"""The benchmarks on little work: they must run and print their figures, whose values are not tested here.

The rehearsal of `make check-gpu` runs others.
"""

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
    results: dict[str, Any] = json.loads(finish(name, *options))
    return results


def finish(name: str, *options: str) -> str:
    """Run a benchmark and return what it printed."""
    command = [sys.executable, BENCHMARKS / f"{name}.py", *options]
    environment = os.environ | {"IMPASTO_STORE": "nothing-here", "IMPASTO_DEVICE": "cpu"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


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


def test_what_an_attack_does_to_a_good_client_is_measured() -> None:
    results = run("attacks", "--seconds", "0.5", "--only", "slow-uploads", "--only", "silent-websockets")
    assert results["attacks"].keys() == {"slow-uploads", "silent-websockets"}
    for each in results["attacks"].values():
        assert each["undisturbed"]["p50_ms"] > 0
        assert each["attacked"]["p99_ms"] > 0


def test_endurance_is_measured_and_leaves_nothing_in_flight() -> None:
    results = run("endurance", "--requests", "100", "--clients", "4", "--at-once", "8")
    assert sum(results["outcomes"].values()) == 100
    assert {"good: 200", "broken: 422"} <= set(results["outcomes"])
    assert results["refused_of_a_burst"] == {"after_a_tenth": 0, "at_the_end": 0}
    assert results["livez"] == 200


def test_a_soak_counts_what_became_of_each_request(tmp_path: Path) -> None:
    written = tmp_path / "soak.json"
    command = [sys.executable, BENCHMARKS / "soak.py", "--minutes", "0.05", "--json", written]
    subprocess.run(command, capture_output=True, check=False, env=os.environ | {"IMPASTO_DEVICE": "cpu"})
    results = json.loads(written.read_text())  # in so short a time memory may still grow
    assert results["sent"] == results["counted_by_the_server"] == results["answered"] + results["given_up_by_clients"]
    assert (results["in_flight"], results["faults_of_the_server"]) == (0, 0)
    assert results["sent"] > 10


def test_a_net_is_measured_in_its_serving_form_and_by_stages(tmp_path: Path) -> None:
    written = tmp_path / "net.json"
    finish(
        "net",
        "--light",
        "--shape",
        "32x1",
        "--shape",
        "48x2",
        "--rounds",
        "1",
        "--device",
        "cpu",
        "--json",
        str(written),
    )
    runs = json.loads(written.read_text())["runs"]
    assert [(each["size"], each["batch"]) for each in runs] == [(32, 1), (48, 2)]
    for each in runs:
        assert each["ms_per_picture"].keys() == {"form", "float32", "light"}
        assert each["difference_255ths"] < 0.1
        assert sum(stage["share"] for stage in each["stages"]) == pytest.approx(1, abs=0.02)
    small, large = (each["ceiling_ms_per_picture"] for each in runs)
    assert large / small == pytest.approx(48**2 / 32**2, rel=0.01)
