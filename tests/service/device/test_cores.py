"""Tests of the number of cores that a process may use, in containers of both versions of cgroups."""

import os
from pathlib import Path

import pytest
import torch

from service.device.cores import usable_cores
from service.device.device import share_cores

V2, V1_QUOTA, V1_PERIOD = "cpu.max", "cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 4, 5}, raising=False)


@pytest.mark.usefixtures("four_cores")
@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 4),
        ({V2: "max 100000\n"}, 4),
        ({V2: "200000 100000\n"}, 2),
        ({V2: "25000 50000\n"}, 1),
        ({V2: "150000 100000\n"}, 2),
        ({V2: "1600000 100000\n"}, 4),
        ({V1_QUOTA: "-1\n", V1_PERIOD: "100000\n"}, 4),
        ({V1_QUOTA: "300000\n", V1_PERIOD: "100000\n"}, 3),
        ({V1_QUOTA: "1000\n", V1_PERIOD: "100000\n"}, 1),
        ({V1_QUOTA: "110000\n", V1_PERIOD: "100000\n"}, 2),
        ({V1_QUOTA: "300000\n"}, 4),
    ],
)
def test_a_process_may_use_the_cores_that_it_may_run_on_or_its_containers_quota(
    tmp_path: Path, files: dict[str, str], expected: int
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert usable_cores(tmp_path) == expected


def test_a_process_may_use_all_cores_where_the_system_cannot_bind_it_to_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert usable_cores(tmp_path) == 6


@pytest.mark.parametrize(
    ("threads", "explicit", "processes", "expected"),
    [
        (64, None, 1, usable_cores()),
        (1, None, 1, 1),
        (64, "64", 1, 64),
        (6, "6", 2, 3),
        (6, "6", 4, 1),
        (2, "2", 3, 1),
    ],
)
def test_torch_computes_on_the_usable_cores_and_never_on_more_than_it_was_told(
    monkeypatch: pytest.MonkeyPatch, threads: int, explicit: str | None, processes: int, expected: int
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if explicit:
        monkeypatch.setenv("OMP_NUM_THREADS", explicit)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        share_cores(processes)
        assert torch.get_num_threads() == expected
    finally:
        torch.set_num_threads(before)
