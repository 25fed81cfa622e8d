"""Memory of nets that come and go."""

import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from model_store.store import Store
from service.models.loaded import Models
from service.models.upkeep import Upkeep


@pytest.mark.process
def test_memory_stays_near_that_of_the_nets_that_are_kept_however_many_are_loaded() -> None:
    # In a process of its own, because glibc's settings hold for all of a process.
    command = [sys.executable, "-m", "tests.service.models.loading_in_turn"]
    grown_mib = float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    assert grown_mib < 90  # a net has 30; what glibc keeps for itself would be 110 to 170


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_memory_that_was_freed_between_what_stays_is_given_back_while_the_server_runs(store: Store) -> None:
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    blocks = [ctypes.c_void_p(libc.malloc(60_000)) for _ in range(1000)]
    for block in blocks:
        ctypes.memset(block, 1, 60_000)
    before = resident_bytes()
    for block in blocks[::2]:
        libc.free(block)
    upkeep = Upkeep(Models(store, torch.device("cpu")), [], 0.02)
    try:
        end = time.monotonic() + 10
        while resident_bytes() > before - 20_000_000:
            assert time.monotonic() < end
            time.sleep(0.02)
    finally:
        upkeep.close()
        for block in blocks[1::2]:
            libc.free(block)
