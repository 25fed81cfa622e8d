import itertools
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from model_store.store import Store
from service.server.settings import Settings
from service.server.telemetry.logs import JsonFormatter

from ...serving import serve
from ...stores import Publish

Request = Callable[..., list[ReadableSpan]]

STAGES = ["decode", "queue", "net", "encode"]


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    """Return an exporter that collects the spans of this process from now on."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


@pytest.fixture
def spans_of(store: Store, publish: Publish, exporter: InMemorySpanExporter) -> Iterator[Request]:
    """Yield a function that sends a request to a server with the style `tiny`, and returns its spans."""
    publish("stylize", "tiny")

    def spans_of(method: str, path: str, headers: dict[str, str] | None = None, **body: bytes) -> list[ReadableSpan]:
        with serve(Settings(device="cpu"), store) as url:
            exporter.clear()
            httpx.request(method, url + path, headers=headers, **body)
        return list(exporter.get_finished_spans())

    yield spans_of
    exporter.clear()


def test_no_span_has_the_api_key_of_its_request(spans_of: Request, photo_png: bytes) -> None:
    key = "impasto_secret"
    spans = spans_of("POST", "/stylize?style=tiny", {"Authorization": f"Bearer {key}"}, content=photo_png)
    assert spans
    assert not [span for span in spans if key in span.to_json()]


def test_a_picture_has_a_span_with_its_stages_below(spans_of: Request, photo_png: bytes) -> None:
    spans = spans_of("POST", "/stylize?style=tiny", {"X-Request-ID": "job-7"}, content=photo_png)
    (request,) = [span for span in spans if span.kind is SpanKind.SERVER]
    assert request.name == "POST /stylize"
    assert request.attributes is not None
    expected = {
        "impasto.request_id": "job-7",
        "impasto.model": "tiny@1",
        "impasto.width": 48,
        "impasto.height": 32,
        "impasto.batch": 1,
    }
    assert request.attributes.items() >= expected.items()
    stages = [span for span in spans if span is not request]
    assert [stage.name for stage in stages] == STAGES
    assert all(stage.parent == request.context for stage in stages)


def test_stages_follow_one_another_within_the_request(spans_of: Request, photo_png: bytes) -> None:
    *stages, request = spans_of("POST", "/stylize?style=tiny", content=photo_png)
    ends = [request.start_time, *itertools.chain(*((stage.start_time, stage.end_time) for stage in stages))]
    assert ends == sorted(ends)
    assert ends[-1] < request.end_time


def test_a_request_continues_the_trace_of_its_client(spans_of: Request, photo_png: bytes) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    spans = spans_of("POST", "/stylize?style=tiny", {"traceparent": parent}, content=photo_png)
    assert {f"{span.context.trace_id:032x}" for span in spans} == {"0af7651916cd43dd8448eb211c80319c"}
    assert f"{spans[-1].parent.span_id:016x}" == "b7ad6b7169203331"


def test_a_trace_that_its_client_does_not_sample_is_not_recorded(spans_of: Request, photo_png: bytes) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    assert spans_of("POST", "/stylize?style=tiny", {"traceparent": parent}, content=photo_png) == []


def test_a_refusal_has_a_span_without_stages(spans_of: Request) -> None:
    (span,) = spans_of("POST", "/stylize?style=nope", {"X-Request-ID": "job-7"}, content=b"?")
    assert span.attributes.items() >= {"http.response.status_code": 404, "impasto.request_id": "job-7"}.items()


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_health_checks_and_scrapes_are_not_traced(spans_of: Request, path: str) -> None:
    assert spans_of("GET", path) == []


def test_a_line_of_the_log_has_the_id_of_its_trace(exporter: InMemorySpanExporter) -> None:
    record = logging.LogRecord("service", logging.INFO, "", 0, "here", (), None)
    with trace.get_tracer("tests").start_as_current_span("a request"):
        line = json.loads(JsonFormatter().format(record))
    assert line["trace_id"] == f"{exporter.get_finished_spans()[-1].context.trace_id:032x}"
    assert "trace_id" not in json.loads(JsonFormatter().format(record))


@pytest.mark.process
def test_pictures_are_served_without_the_packages_of_the_extra_tracing() -> None:
    script = """
import io, sys
for name in ("opentelemetry.sdk", "opentelemetry.exporter"):
    sys.modules[name] = None  # as if it were not installed
from fastapi.testclient import TestClient
from PIL import Image
from service.server.app import create_app
from service.server.settings import Settings

picture = io.BytesIO()
Image.new("RGB", (32, 32)).save(picture, "PNG")
with TestClient(create_app(Settings(device="cpu"))) as client:
    response = client.post("/stylize?style=muse", content=picture.getvalue(), headers={"traceparent": "nonsense"})
assert response.status_code == 200, response.text
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
