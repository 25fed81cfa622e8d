"""Several workers of `impasto serve`, in real processes."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import torch

from model_store.store import BUNDLED, Store
from service.server.settings import Settings

from ..serving import serve
from ..stores import GatedStore
from .server_process import SECONDS, is_running, serving


@contextmanager
def paused(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def is_live(url: str) -> bool:
    return httpx.get(f"{url}/livez", timeout=SECONDS).status_code == 200


@pytest.mark.process
def test_every_worker_answers_and_one_that_dies_is_replaced() -> None:
    with serving(2) as server:
        first, second = server.workers
        for worker in (first, second):
            with paused(worker):
                assert is_live(server.url)
        os.kill(first, signal.SIGKILL)
        third = server.next_worker()
        with paused(second):
            assert is_live(server.url)
        assert server.stop() == 0
    assert third not in {first, second}
    assert not any(is_running(worker) for worker in (second, third))


@pytest.mark.process
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="tells the environment of no process")
def test_workers_have_one_fresh_folder_for_their_metrics() -> None:
    with serving(2) as server:
        environments = [Path(f"/proc/{worker}/environ").read_text() for worker in server.workers]
        folders = {re.search(r"PROMETHEUS_MULTIPROC_DIR=([^\0]+)", each)[1] for each in environments}
        assert len(folders) == 1
        folder = Path(folders.pop())
        assert folder.is_dir()
        assert server.stop() == 0
    assert not folder.exists()


@pytest.mark.process
def test_the_garbage_collector_passes_by_all_modules_of_a_worker() -> None:
    program = (
        "import gc; from service.server.processes import create_worker_app; app = create_worker_app(); "
        "print(gc.get_freeze_count(), len(gc.get_objects()))"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    spared, left = map(int, printed.split())
    assert spared > 100 * left


def test_workers_share_the_limits_of_the_machine() -> None:
    given = {"max_in_flight": 64, "max_pixels_in_flight": 1000, "codec_threads": 3, "max_connections": 100}
    given |= {"max_upload_bytes_in_flight": 4000, "max_answer_bytes_in_flight": 400, "max_videos_in_flight": 8}
    together = Settings(**given, workers=4)
    each = together.of_one_worker()
    divided = {name: number // 4 for name, number in given.items()} | {"codec_threads": 1}
    assert each.model_dump() == together.model_dump() | divided


def test_workers_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    before = torch.get_num_threads()
    torch.set_num_threads(6)
    try:
        with serve(Settings(device="cpu", workers=2), Store(BUNDLED)), ThreadPoolExecutor(1) as new_thread:
            assert new_thread.submit(torch.get_num_threads).result() == 3
    finally:
        torch.set_num_threads(before)


def test_a_worker_takes_its_share_of_the_requests(gated_store: GatedStore, photo_png: bytes) -> None:
    both_together = Settings(device="cpu", workers=2, max_in_flight=3)
    with serve(both_together, gated_store) as url, ThreadPoolExecutor(1) as thread:
        thread.submit(httpx.post, f"{url}/stylize?style=muse", content=photo_png, timeout=SECONDS)
        assert gated_store.gate.entered.wait(SECONDS)
        assert httpx.post(f"{url}/stylize?style=muse", content=photo_png).status_code == 429
        gated_store.gate.opened.set()
