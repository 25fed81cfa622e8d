"""`make check-gpu` runs every part on the CPU, so that on the day only the device is new."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

TESTS = Path(__file__).parents[1]


def test_the_check_of_a_gpu_is_rehearsed_on_the_cpu(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "check_gpu", "--rehearse", "--minutes", "20", "--out", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + (tmp_path / "log.txt").read_text()

    document = json.loads((tmp_path / "report.json").read_text())
    parts = {each["name"]: each for each in document["parts"]}
    assert {each["status"] for each in parts.values()} <= {"passed", "skipped"}
    kernels = ["tests: inference/cuda/test_style_net.py"] if importlib.util.find_spec("triton") else []
    assert {parts[name]["status"] for name in ("installation", *kernels, "net: style", "overload")} == {"passed"}

    peers = {"handwritten"} | ({"litserve"} if importlib.util.find_spec("litserve") else set())
    loads = parts["served beside the peers"]["results"]["loads"]
    assert [(load["size"], load["clients"]) for load in loads] == [(32, 2), (64, 2)]
    for load in loads:
        assert load.keys() == peers | {"size", "clients", "impasto", "ours_to_better_peer"}
        assert all(load[server]["not_good"] == 0 for server in (*peers, "impasto"))

    start = parts["first request after a start"]["results"]
    assert 0 < start["ready_s"]["median"] < start["first_picture_s"]["median"]

    measured = {each["name"]: each["value"] for each in document["figures"]}
    assert measured["training step"] > 0
    assert (tmp_path / "report.md").read_text().startswith("# Rehearsal on the CPU\n")
    assert {path.name for path in tmp_path.iterdir()} == {"log.txt", "report.json", "report.md"}
