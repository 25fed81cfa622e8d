import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import prometheus_client.openmetrics.parser
import prometheus_client.parser
import pytest
import torch
from torch import Tensor

from model_store.card import Card
from model_store.nets import TransformNet
from model_store.store import BUNDLED, Store
from service.engine.engine import Engine
from service.engine.lane import Lane
from service.server.settings import Settings
from service.server.telemetry.metrics import Metrics

from ....picture_files import plain_png
from ...serving import serve
from ...stores import EndlessStore, Publish, SlowStore

CPU = torch.device("cpu")
SECONDS = 30


class Scrape:
    """The metrics of one scrape, as Prometheus reads them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families = list(prometheus_client.parser.text_string_to_metric_families(text))

    def __call__(self, name: str, **labels: str) -> float:
        """Return the sum of the series with these labels, 0 if there is none."""
        return sum(
            sample.value
            for family in self.families
            for sample in family.samples
            if sample.name == f"impasto_{name}" and labels.items() <= sample.labels.items()
        )


def scrape(source: str | Metrics) -> Scrape:
    if isinstance(source, Metrics):
        return Scrape(source.render("")[0].decode())
    return Scrape(httpx.get(f"{source}/metrics").raise_for_status().text)


def scrape_until(source: str | Metrics, is_there: Callable[[Scrape], bool]) -> Scrape:
    deadline = time.monotonic() + SECONDS
    while not is_there(found := scrape(source)):
        assert time.monotonic() < deadline, found.text
    return found


@pytest.fixture
def url(store: Store, publish: Publish) -> Iterator[str]:
    """Yield the address of a server that counts from 0, with the styles `tiny` and `other` and a net `x4-pixel`."""
    publish("stylize", "tiny")
    publish("stylize", "other")
    publish("super-resolve", "x4-pixel", factor=4)
    with serve(Settings(device="cpu"), store) as url:
        yield url


# Pictures


def test_a_picture_is_counted(url: str, photo_png: bytes) -> None:
    httpx.post(f"{url}/stylize?style=tiny", content=photo_png).raise_for_status()
    found = scrape(url)
    assert found("requests_total", route="/stylize", status="200") == 1
    assert found("request_duration_seconds_count", route="/stylize") == 1
    assert found("pictures_total", task="stylize", model="tiny@1") == 1
    assert found("input_pixels_total", task="stylize") == found("output_pixels_total", task="stylize") == 48 * 32
    assert found("model_loads_total", task="stylize", model="tiny@1") == 1
    assert found("loaded_models") == found("model_load_seconds_count") == 1
    assert found("loaded_model_bytes") > 1000
    for stage in ("decode", "queue", "net", "encode"):
        assert found("stage_duration_seconds_count", stage=stage) == 1
    assert found("queue_wait_seconds_count") == found("batch_pictures_sum") == 1
    assert found("batch_pixels_sum") == 48 * 32
    assert found("queued_pictures") == found("requests_in_flight") == found("problems_total") == 0


def test_a_larger_picture_is_counted_with_its_own_pixels(url: str, photo_png: bytes) -> None:
    httpx.post(f"{url}/super-resolve?factor=2", content=photo_png).raise_for_status()
    found = scrape(url)
    assert found("input_pixels_total", task="super-resolve") == 48 * 32
    assert found("output_pixels_total", task="super-resolve") == 4 * 48 * 32


def test_stages_add_up_to_no_more_than_the_request(url: str, photo_png: bytes) -> None:
    httpx.post(f"{url}/stylize?style=tiny", content=photo_png).raise_for_status()
    found = scrape(url)
    assert 0 < found("stage_duration_seconds_sum") < found("request_duration_seconds_sum", route="/stylize")


def test_refusals_are_left_out_of_the_durations(url: str, photo_png: bytes) -> None:
    httpx.post(f"{url}/stylize?style=tiny", content=photo_png).raise_for_status()
    assert httpx.post(f"{url}/stylize?style=unknown", content=photo_png).status_code == 404
    found = scrape(url)
    assert found("requests_total", route="/stylize", status="404") == 1
    assert found("request_duration_seconds_count", route="/stylize") == 1


def test_reasons_of_refusals_are_shown_before_the_first_refusal(url: str) -> None:
    text = httpx.get(f"{url}/metrics").text
    for reason in ("requests", "pixels", "key"):
        assert f'impasto_requests_shed_total{{reason="{reason}"}} 0.0' in text


def test_all_blends_are_counted_as_one_model(url: str, photo_png: bytes) -> None:
    for style in ("tiny:0.3,other:0.7", "tiny:0.6,other:0.4"):
        httpx.post(f"{url}/stylize", params={"style": style}, content=photo_png).raise_for_status()
    found = scrape(url)
    assert found("pictures_total", model="blend") == found("pictures_total") == 2
    assert found("loaded_models") == 2


# Refused and cancelled requests


def test_a_bad_picture_is_counted_by_its_problem(url: str) -> None:
    httpx.post(f"{url}/stylize?style=tiny", content=b"\x89PNG and no more")
    found = scrape(url)
    assert found("problems_total", problem="bad-picture") == found("problems_total") == 1
    assert found("requests_total", route="/stylize", status="422") == 1
    assert found("pictures_total") == found("stage_duration_seconds_count") == 0


def test_names_and_paths_that_clients_make_up_do_not_become_series(url: str, photo_png: bytes) -> None:
    for style in ("made-up", "made-up@3", "tiny:0.5,made-up:0.5"):
        httpx.post(f"{url}/stylize", params={"style": style}, content=photo_png)
    httpx.get(f"{url}/made-up")
    httpx.get(f"{url}/models/stylize/made-up")
    httpx.request("DELETE", f"{url}/models/stylize/made-up")
    found = scrape(url)
    assert "made-up" not in found.text
    assert found("problems_total", problem="unknown-model") == 4
    assert found("requests_total", route="/models/{task}/{name}", status="404") == 1
    assert found("requests_total", route="other", status="404") == 1


def test_a_request_refused_for_lack_of_room_is_counted(slow_store: SlowStore, photo_png: bytes) -> None:
    with serve(Settings(device="cpu", max_in_flight=1), slow_store) as url, ThreadPoolExecutor(1) as thread:
        first = thread.submit(httpx.post, f"{url}/stylize?style=muse", content=photo_png, timeout=60)
        assert slow_store.entered.wait(SECONDS)
        httpx.post(f"{url}/stylize?style=muse", content=photo_png)
        during = scrape(url)
        slow_store.opened.set()
        first.result().raise_for_status()
        after = scrape(url)
    assert during("requests_shed_total", reason="requests") == during("problems_total", problem="busy") == 1
    assert (during("requests_in_flight"), after("requests_in_flight")) == (1, 0)


def test_a_client_that_disconnects_is_counted(slow_store: SlowStore, photo_png: bytes) -> None:
    with serve(Settings(device="cpu"), slow_store) as url:
        address = httpx.URL(url)
        with socket.create_connection((address.host, address.port), timeout=SECONDS) as connection:
            head = f"POST /stylize?style=muse HTTP/1.1\r\nHost: impasto\r\nContent-Length: {len(photo_png)}\r\n\r\n"
            connection.sendall(head.encode() + photo_png)
            assert slow_store.entered.wait(SECONDS)
            assert scrape(url)("requests_cancelled_total") == 0
        found = scrape_until(url, lambda found: found("requests_cancelled_total", reason="client-left") == 1)
        slow_store.opened.set()
    assert found("requests_in_flight") == 0


def test_a_client_that_leaves_its_large_picture_ends_it_at_the_next_piece_and_is_counted() -> None:
    store = EndlessStore()
    with serve(Settings(device="cpu"), store) as url:
        address, photo = httpx.URL(url), plain_png(1)
        with socket.create_connection((address.host, address.port), timeout=SECONDS) as connection:
            head = f"POST /stylize?style=muse HTTP/1.1\r\nHost: impasto\r\nContent-Length: {len(photo)}\r\n\r\n"
            connection.sendall(head.encode() + photo)
            assert store.net.entered.wait(SECONDS)
        assert store.net.stopped.wait(SECONDS)
        found = scrape_until(url, lambda found: found("requests_cancelled_total", reason="client-left") == 1)
    assert found("pictures_total") == found("batch_pictures_count") == found("requests_in_flight") == 0
    assert found("queue_wait_seconds_count") == 1


def test_a_request_past_its_deadline_is_counted() -> None:
    metrics = Metrics(CPU)
    metrics.request_answered("/stylize", 504, "deadline-exceeded", 60.1)
    assert scrape(metrics)("requests_cancelled_total", reason="deadline") == 1


def test_an_internal_error_is_counted() -> None:
    class BrokenStore(Store):
        def cards(self) -> list[Card]:
            raise RuntimeError

    with serve(Settings(device="cpu"), BrokenStore(BUNDLED)) as url:
        httpx.get(f"{url}/models")
        found = scrape_until(url, lambda found: found("requests_total", route="/models", status="500") == 1)
    assert found("problems_total", problem="internal-error") == 1


# The engine


class Gate(TransformNet):
    """A net that keeps the device busy until `opened`, and then raises its error, if it has one."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.entered, self.opened = threading.Event(), threading.Event()
        self.error = error

    def transform(self, pictures: Tensor) -> Tensor:
        self.entered.set()
        assert self.opened.wait(SECONDS)
        if self.error:
            raise self.error
        return pictures


@contextmanager
def waiting(metrics: Metrics, gate: Gate, pictures: int) -> Iterator[None]:
    """Let pictures wait while the device is busy, until the end of the `with` block; the last one is cancelled."""
    engine = Engine(CPU, max_batch=8, max_batch_pixels=1_000_000, observer=metrics)
    picture = torch.zeros(20, 30, 3, dtype=torch.uint8)
    futures = [engine.submit(gate, picture)]
    assert gate.entered.wait(SECONDS)
    futures += [engine.submit(gate, picture) for _ in range(pictures)]
    futures[-1].cancel()
    try:
        yield
    finally:
        gate.opened.set()
        engine.close()
        assert all(future.done() for future in futures)


def test_the_queue_and_the_batches_are_shown() -> None:
    metrics = Metrics(CPU)
    with waiting(metrics, Gate(), pictures=4):
        assert scrape(metrics)("queued_pictures") == 4
        assert scrape(metrics)("batch_pictures_count") == 0
    found = scrape(metrics)
    assert found("queued_pictures") == found("device_lost") == 0
    assert found("queue_wait_seconds_count") == 5
    assert (found("batch_pictures_count"), found("batch_pictures_sum")) == (2, 4)
    assert found("batch_pixels_sum") == 4 * 20 * 30


def test_a_lost_device_is_shown_and_its_queue_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lane, "is_lost", lambda _lane: True)
    metrics = Metrics(CPU)
    with waiting(metrics, Gate(torch.AcceleratorError("CUDA error")), pictures=3):
        assert scrape(metrics)("device_lost") == 0
    found = scrape(metrics)
    assert found("device_lost") == 1
    assert found("queued_pictures") == found("batch_pictures_count") == 0


@pytest.mark.cuda
def test_the_memory_of_the_device_is_shown() -> None:
    metrics = Metrics(torch.device("cuda"))
    held = torch.zeros(64 * 1024**2, dtype=torch.uint8, device="cuda")
    found = scrape(metrics)
    assert held.nbytes < found("device_memory_used_bytes") < found("device_memory_total_bytes")


# The scrape


def test_prometheus_gets_its_text_format(url: str) -> None:
    response = httpx.get(f"{url}/metrics")
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    names = {family.name for family in Scrape(response.text).families}
    assert all(name.startswith(("impasto_", "process_")) for name in names)
    assert "process_resident_memory_bytes" in names


def test_a_scraper_that_asks_for_openmetrics_gets_it(url: str) -> None:
    response = httpx.get(f"{url}/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert response.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    parse = prometheus_client.openmetrics.parser.text_string_to_metric_families
    assert any(family.name == "impasto_requests" for family in parse(response.text))


def test_two_apps_in_a_process_count_apart(store: Store, publish: Publish, photo_png: bytes) -> None:
    publish("stylize", "tiny")
    with serve(Settings(device="cpu"), store) as one, serve(Settings(device="cpu"), store) as other:
        httpx.post(f"{one}/stylize?style=tiny", content=photo_png).raise_for_status()
        assert (scrape(one)("pictures_total"), scrape(other)("pictures_total")) == (1, 0)


# Several processes


@pytest.mark.process
def test_processes_count_together_and_the_dead_are_left_out_of_gauges(tmp_path: Path) -> None:
    script = """
import os, sys, torch
from service.server.telemetry.metrics import Metrics

def work(dies: bool) -> None:
    metrics = Metrics(torch.device("cpu"))
    metrics.request_answered("/stylize", 200, None, 0.5)
    metrics.picture_queued()
    if not dies:
        metrics.close()
    os._exit(0)

def run(dies: bool) -> None:
    pid = os.fork()
    if not pid:
        work(dies)
    assert os.waitpid(pid, 0)[1] == 0

run(dies=True)
run(dies=False)
metrics = Metrics(torch.device("cpu"))
metrics.request_answered("/stylize", 200, None, 0.5)
metrics.picture_queued()
sys.stdout.buffer.write(metrics.render("")[0])
"""
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    found = Scrape(done.stdout)
    assert found("requests_total", route="/stylize", status="200") == 3
    assert found("request_duration_seconds_count") == 3
    assert found("queued_pictures") == 1
