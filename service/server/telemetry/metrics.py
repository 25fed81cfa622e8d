"""Metrics for Prometheus.

Every label has few values: routes are counted by their templates, models by those of the store, and all blends as one.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from model_store.card import Task
from service.contract.observer import Observer
from service.pipeline.answer import Answer

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Upper bounds of the buckets of durations."""
_PICTURES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)
"""Upper bounds of the buckets of pictures in a batch."""
_PIXELS = (10e3, 30e3, 100e3, 300e3, 1e6, 2e6, 4e6, 8e6, 16e6, 32e6)
"""Upper bounds of the buckets of pixels in a batch."""
_CANCELLED = {499: "client-left", 504: "deadline"}
"""Reasons why a request was given up, by the status of its answer."""
_SHED = ("requests", "pixels", "uploads", "key", "connections", "films")
"""Reasons why a request was refused; see `service.server.limits`, `admission`, `films` and `upload_memory`."""


class Metrics(Observer):
    """The metrics of one app, in a registry of its own.

    Several worker processes count together if `PROMETHEUS_MULTIPROC_DIR` names an existing folder: a scrape of any of
    them shows their sums. The metrics of a process, such as its resident memory, are shown only without that variable.

    Args:
        device: Device that computes; its memory is shown if it is a CUDA device.

    Raises:
        ValueError: `PROMETHEUS_MULTIPROC_DIR` is not a folder.
    """

    def __init__(self, device: torch.device) -> None:
        self._folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        self._scraped = CollectorRegistry()
        registry: CollectorRegistry | None = self._scraped
        if self._folder is None:
            ProcessCollector(registry=self._scraped)
        else:
            _forget_dead_processes(self._folder)
            MultiProcessCollector(self._scraped)  # type: ignore[no-untyped-call]
            registry = None  # otherwise the scraped process would be counted twice
        if device.type == "cuda":
            self._scraped.register(_DeviceMemory(device))

        def counter(name: str, help: str, *labels: str) -> Counter:  # noqa: A002
            return Counter(f"impasto_{name}", help, labels, registry=registry)

        def gauge(name: str, help: str) -> Gauge:  # noqa: A002
            return Gauge(f"impasto_{name}", help, registry=registry, multiprocess_mode="livesum")

        def histogram(name: str, help: str, *labels: str, buckets: tuple[float, ...] = _SECONDS) -> Histogram:  # noqa: A002
            return Histogram(f"impasto_{name}", help, labels, registry=registry, buckets=buckets)

        self._requests = counter("requests_total", "Requests answered.", "route", "status")
        self._request_seconds = histogram(
            "request_duration_seconds", "Seconds from request to answer, refusals left out.", "route"
        )
        self._key_requests = counter(
            "key_requests_total", "Requests with an API key that were answered.", "key", "status"
        )
        self._coalesced = counter("requests_coalesced_total", "Requests that waited for a picture of another request.")
        self._problems = counter("problems_total", "Problems answered.", "problem")
        self._shed = counter("requests_shed_total", "Requests refused for lack of room.", "reason")
        self._cancelled = counter("requests_cancelled_total", "Requests given up before their answer.", "reason")
        for reasons, counted in ((_SHED, self._shed), (_CANCELLED.values(), self._cancelled)):
            for reason in reasons:
                counted.labels(reason)  # shown as 0, so that a first one is seen as a change
        self._in_flight = gauge("requests_in_flight", "Pictures admitted and not answered yet.")

        self._pictures = counter("pictures_total", "Pictures made; model is blend for all blends.", "task", "model")
        self._input_pixels = counter("input_pixels_total", "Pixels of uploads that became pictures.", "task")
        self._output_pixels = counter("output_pixels_total", "Pixels of the pictures made.", "task")
        self._stage_seconds = histogram(
            "stage_duration_seconds", "Seconds of each stage of the pictures made.", "stage"
        )

        self._frames = counter("film_frames_total", "Frames of films that were painted or enlarged.", "task")
        self._films = counter("films_total", "Requests with a film, by what became of them.", "task", "outcome")

        self._queued = gauge("queued_pictures", "Pictures that wait for the device.")
        self._queue_seconds = histogram("queue_wait_seconds", "Seconds in the queue of pictures computed or given up.")
        self._batch_pictures = histogram("batch_pictures", "Pictures computed together.", buckets=_PICTURES)
        self._batch_pixels = histogram("batch_pixels", "Output pixels computed together.", buckets=_PIXELS)
        self._device_lost = gauge("device_lost", "Processes whose device is lost; they need a restart.")

        self._loads = counter("model_loads_total", "Models loaded onto the device.", "task", "model")
        self._load_seconds = histogram("model_load_seconds", "Seconds in which each model was loaded.")
        self._loaded = gauge("loaded_models", "Models on the device, blends included.")
        self._loaded_bytes = gauge(
            "loaded_model_bytes", "Bytes of the weights of models on the device, blends included."
        )

    def in_flight(self) -> AbstractContextManager[None]:
        """Count an admitted request as long as the `with` block runs."""
        return self._in_flight.track_inprogress()

    def request_answered(self, route: str, status: int, problem: str | None, seconds: float) -> None:
        """Count an answered request.

        Args:
            route: Template of the route, as in `/models/{task}/{name}`.
            status: Status of the answer; 499 if the client disconnected.
            problem: Name of the problem that was answered, if any.
            seconds: Seconds from request to answer.
        """
        self._requests.labels(route, str(status)).inc()
        if not 400 <= status < 500:  # many quick refusals would hide slow answers
            self._request_seconds.labels(route).observe(seconds)
        if problem is not None:
            self._problems.labels(problem).inc()
        if status in _CANCELLED:
            self._cancelled.labels(_CANCELLED[status]).inc()

    def key_used(self, key: str, status: int) -> None:
        """Count a request by the name of its API key."""
        self._key_requests.labels(key, str(status)).inc()

    def request_coalesced(self) -> None:
        """Count a request that waits for the picture that another request is making."""
        self._coalesced.inc()

    def picture_made(self, task: Task, answer: Answer) -> None:
        """Count a finished picture, its pixels and its stages."""
        pixels = answer.width * answer.height
        self._pictures.labels(task, _model(answer.model)).inc()
        self._input_pixels.labels(task).inc(pixels)
        self._output_pixels.labels(task).inc(pixels * answer.factor**2)
        for stage in answer.stages:
            self._stage_seconds.labels(stage.name).observe(stage.seconds)

    def frame_made(self, task: Task) -> None:
        """Count a frame of a film."""
        self._frames.labels(task).inc()

    def film_ended(self, task: Task, outcome: str) -> None:
        """Count a request with a film by what became of it, one of a few fixed words."""
        self._films.labels(task, outcome).inc()

    def request_shed(self, reason: str) -> None:
        """Count a refused request by its reason."""
        self._shed.labels(reason).inc()

    def model_loaded(self, task: Task, label: str, seconds: float) -> None:
        """Count a model that was loaded."""
        self._loads.labels(task, _model(label)).inc()
        self._load_seconds.observe(seconds)

    def models_kept(self, number: int, size: int) -> None:
        """Show the number of models on the device, and their size in bytes."""
        self._loaded.set(number)
        self._loaded_bytes.set(size)

    def picture_queued(self) -> None:
        """Count a picture that begins to wait for the device."""
        self._queued.inc()

    def picture_dequeued(self, seconds: float) -> None:
        """Count a picture that no longer waits for the device."""
        self._queued.dec()
        self._queue_seconds.observe(seconds)

    def batch_computed(self, pictures: int, pixels: int) -> None:
        """Count a batch by its pictures and output pixels."""
        self._batch_pictures.observe(pictures)
        self._batch_pixels.observe(pixels)

    def device_lost(self) -> None:
        """Show that the device is lost."""
        self._device_lost.set(1)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return the text for a scraper, and its media type.

        Args:
            accept: Header `Accept` of the scraper; it gets OpenMetrics if it asks for that, otherwise Prometheus' text
                format.
        """
        encode, media_type = choose_encoder(accept)
        return encode(self._scraped), media_type

    def close(self) -> None:
        """Take this process out of the gauges that all processes share."""
        if self._folder is not None:
            mark_process_dead(os.getpid(), self._folder)  # type: ignore[no-untyped-call]


class _DeviceMemory(Collector):
    """The memory of the device, read at each scrape, so that it is right for several processes on one device, too."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def collect(self) -> Iterator[Metric]:
        """Yield the used and the total memory, or nothing if the device is lost."""
        try:
            free, total = torch.cuda.mem_get_info(self._device)
        except RuntimeError:
            return
        yield GaugeMetricFamily(
            "impasto_device_memory_used_bytes",
            "Bytes of device memory that this and other processes use.",
            total - free,
        )
        yield GaugeMetricFamily("impasto_device_memory_total_bytes", "Bytes of memory of the device.", total)


def _model(label: str) -> str:
    return "blend" if "," in label else label


def _forget_dead_processes(folder: str) -> None:
    """Take processes that were killed out of the gauges that all processes share."""
    for pid in {int(path.stem.rpartition("_")[2]) for path in Path(folder).glob("gauge_live*_*.db")}:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]
