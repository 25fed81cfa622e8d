import os
from pathlib import Path

import pytest
import torch

from model_store.errors import ImpastoError
from service.device.device import Capacity, capacity_of, choose_device, memory_of

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("memory.max", "max\n", MACHINE),
        ("memory.max", "1000000\n", 1_000_000),
        ("memory/memory.limit_in_bytes", "9223372036854771712\n", MACHINE),
        ("memory/memory.limit_in_bytes", "2000000\n", 2_000_000),
        ("nothing", "", MACHINE),
    ],
)
def test_the_cpu_has_the_machines_memory_or_less_in_a_container(
    tmp_path: Path, file: str, text: str, expected: int
) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text)
    assert memory_of(torch.device("cpu"), tmp_path) == expected


@pytest.mark.cuda
def test_cuda_has_the_memory_that_is_free() -> None:
    assert 0 < memory_of(torch.device("cuda")) <= torch.cuda.get_device_properties(0).total_memory


def test_a_cpu_computes_a_picture_on_each_core_rather_than_a_batch() -> None:
    capacity = capacity_of(torch.device("cpu"))
    assert capacity.batch == 1
    assert 1 <= capacity.lanes <= torch.get_num_threads()


def test_models_and_batches_leave_memory_for_others() -> None:
    capacity = capacity_of(torch.device("cpu"))
    assert 0 < capacity.model_bytes + 1000 * capacity.lanes * capacity.batch_pixels < MACHINE / 2


def _limited(folder: Path, limit: int) -> Path:
    (folder / "memory.max").write_text(f"{limit}\n")
    return folder


GIB = 2**30


@pytest.mark.parametrize("limit", [GIB, 2 * GIB, 4 * GIB])
def test_on_a_cpu_nets_models_and_the_process_keep_within_the_container(tmp_path: Path, limit: int) -> None:
    capacity = capacity_of(torch.device("cpu"), cgroups=_limited(tmp_path, limit))
    assert capacity.net_bytes is not None
    assert capacity.net_bytes > 0
    assert capacity.net_bytes + capacity.model_bytes + 3 * capacity.pixels_in_flight < limit - 600_000_000


def test_workers_share_the_memory(tmp_path: Path) -> None:
    alone = capacity_of(torch.device("cpu"), cgroups=_limited(tmp_path, 4 * GIB))
    assert capacity_of(torch.device("cpu"), 2, _limited(tmp_path, 8 * GIB)) == alone


def test_workers_share_the_memory_of_a_cuda_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def capacity(free: int, processes: int) -> Capacity:
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (free, 80 * GIB))
        return capacity_of(torch.device("cuda"), processes)

    alone, one_of_four = capacity(20 * GIB, 1), capacity(80 * GIB, 4)
    assert one_of_four._replace(pixels_in_flight=alone.pixels_in_flight) == alone


def test_as_many_pixels_may_be_in_flight_as_memory_holds_up_to_100_million(tmp_path: Path) -> None:
    small, large = (
        capacity_of(torch.device("cpu"), cgroups=_limited(tmp_path, limit)).pixels_in_flight
        for limit in (2 * GIB, MACHINE)
    )
    assert small < large <= 100_000_000


def test_nets_get_no_memory_in_a_container_that_is_too_small_for_the_process(tmp_path: Path) -> None:
    assert capacity_of(torch.device("cpu"), cgroups=_limited(tmp_path, GIB // 2)).net_bytes == 0


def test_cuda_is_refused_on_a_machine_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")
    with pytest.raises(ImpastoError, match="no CUDA device"):
        choose_device("cuda")
