import io
import json
import logging
import logging.config
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from PIL import Image
from torch import Tensor

from model_store.card import Card, Task
from model_store.nets import TransformNet
from model_store.store import BUNDLED, Model, Store
from service.server.settings import Settings
from service.server.telemetry import logs

from ....picture_files import encoded
from ...serving import serve
from ...stores import Publish

CPU = Settings(device="cpu")
SECONDS = 30


class Lines(io.TextIOBase):
    """A stream that keeps what a handler writes, record by record."""

    def __init__(self) -> None:
        self.written: queue.Queue[str] = queue.Queue()

    def write(self, text: str) -> int:
        self.written.put(text)
        return len(text)

    def __iter__(self) -> Iterator[str]:
        """Yield the records that were not read yet."""
        while not self.written.empty():
            yield self.written.get()

    def documents(self) -> Iterator[dict[str, Any]]:
        return (json.loads(line) for line in self)

    def until(self, message: str) -> dict[str, Any]:
        """Wait for a record whose message begins with this text."""
        while True:
            document: dict[str, Any] = json.loads(self.written.get(timeout=SECONDS))
            if document["message"].startswith(message):
                return document


@contextmanager
def logged(style: Literal["text", "json"] = "json", level: logs.Level = "info") -> Iterator[Lines]:
    """Yield what this process logs during the `with` block, as if it were `impasto serve`.

    A request is logged after it is answered: wait for its line, or read the lines when the server has stopped.
    """
    configuration = logs.configuration(style, level)
    changed = [logging.getLogger(name) for name in ("", *configuration["loggers"])]
    before = [(logger.level, logger.handlers[:], logger.propagate) for logger in changed]
    logging.config.dictConfig(configuration)
    lines = Lines()
    (handler,) = logging.getLogger().handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(lines)
    try:
        yield lines
    finally:
        for logger, (old_level, handlers, propagate) in zip(changed, before, strict=True):
            logger.level, logger.handlers, logger.propagate = old_level, handlers, propagate
            logger.setLevel(old_level)  # clears the cache of enabled levels


@pytest.fixture
def tiny(store: Store, publish: Publish) -> Store:
    """Return a store with the style `tiny`."""
    publish("stylize", "tiny")
    return store


@pytest.fixture
def url(tiny: Store) -> Iterator[str]:
    """Yield the address of a server with the style `tiny`."""
    with serve(CPU, tiny) as url:
        yield url


# The line of a request


def test_a_picture_leaves_a_line_with_its_model_size_batch_and_stages(url: str, photo_png: bytes) -> None:
    with logged() as lines:
        headers = {"X-Request-ID": "job-7"}
        response = httpx.post(f"{url}/stylize?style=tiny", content=photo_png, headers=headers)
        line = lines.until("answered")
    expected = {
        "level": "info",
        "request_id": "job-7",
        "method": "POST",
        "route": "/stylize",
        "status": 200,
        "client": "127.0.0.1",
        "bytes_in": len(photo_png),
        "bytes_out": len(response.content),
        "model": "tiny@1",
        "size": "48x32",
        "batch": 1,
    }
    assert line.items() >= expected.items()
    stages = sum(line[f"{stage}_ms"] for stage in ("decode", "queue", "net", "encode"))
    assert 0 < stages < line["seconds"] * 1000
    assert "problem" not in line


def test_a_refusal_leaves_a_line_with_its_problem(url: str) -> None:
    with logged() as lines:
        httpx.post(f"{url}/stylize?style=nope", content=b"?")
        line = lines.until("answered")
    assert (line["status"], line["problem"]) == (404, "unknown-model")
    assert "model" not in line


def test_a_request_leaves_one_line_of_text_for_people(tiny: Store, photo_png: bytes) -> None:
    with logged("text") as lines, serve(CPU, tiny) as url:
        httpx.post(f"{url}/stylize?style=tiny", content=photo_png, headers={"X-Request-ID": "job-7"})
        httpx.get(f"{url}/models/stylize/tiny")
    loaded, picture, _ = "".join(lines).splitlines()
    assert "INFO service.models.loaded [job-7] loaded stylize/tiny@1" in loaded
    assert "INFO service.server.middleware.access_log [job-7] answered method=POST route=/stylize status=200" in picture
    assert "model=tiny@1 size=48x32 batch=1" in picture


@pytest.mark.parametrize(
    ("level", "routes"),
    [("warning", set()), ("info", {"/models"}), ("debug", {"/livez", "/readyz", "/metrics", "/models"})],
)
def test_health_checks_and_scrapes_are_logged_for_debugging_only(
    tiny: Store, level: logs.Level, routes: set[str]
) -> None:
    with logged(level=level) as lines, serve(CPU, tiny) as url:
        for path in ("/livez", "/readyz", "/metrics", "/models"):
            httpx.get(url + path)
    assert {line["route"] for line in lines.documents()} == routes


# What clients can do to the log


def test_nothing_private_is_logged(tiny: Store) -> None:
    with logged(level="debug") as lines, serve(CPU, tiny) as url:
        httpx.post(
            f"{url}/stylize?style=hunter2&key=hunter2&hunter2=1",
            content=b"hunter2",
            headers={"Authorization": "Bearer hunter2", "Cookie": "hunter2"},
        )
    text = "".join(lines)
    assert "/stylize" in text
    assert "hunter2" not in text


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_path_cannot_forge_a_line_or_a_field(tiny: Store, style: Literal["text", "json"]) -> None:
    with logged(style) as lines, serve(CPU, tiny) as url:
        httpx.get(f"{url}/a%0a2026%20INFO%20forged%1b%5b31m%c2%85%e2%80%a8%7f%20status=200")
    (line,) = lines
    assert line.endswith("\n")
    if style == "json":
        document = json.loads(line)
        assert (document["status"], document["path"][:12]) == (404, "/a\n2026 INFO")
    else:
        assert line[:-1].isprintable()
        assert " status=404 " in line
        assert r' path="/a\n2026 INFO' in line


def test_an_id_that_could_forge_a_line_is_replaced(url: str) -> None:
    with logged() as lines:
        httpx.get(f"{url}/models", headers={"X-Request-ID": "a] forged"})
        assert lines.until("answered")["request_id"].isalnum()


def test_a_traceback_cannot_forge_a_line() -> None:
    record = logging.LogRecord("service", logging.ERROR, "", 0, "failed on %s", ("a\nb",), None)
    try:
        raise ValueError("broken\r2026 INFO forged\n2026 INFO forged")
    except ValueError as error:
        record.exc_info = (type(error), error, error.__traceback__)
    first, *others = logs.TextFormatter().format(record).splitlines()
    assert first.endswith(r"ERROR service failed on a\nb")
    assert len(others) > 3
    assert all(line.startswith("    ") for line in others)


# Other records of a request


class Broken(TransformNet):
    def transform(self, pictures: Tensor) -> Tensor:
        raise ValueError(pictures.shape)


class BrokenStore(Store):
    """A store whose nets and whose list of cards do not work."""

    def open(self, task: Task, name: str, version: int | None = None) -> Model:
        return super().open(task, name, version)._replace(net=Broken())

    def cards(self) -> list[Card]:
        raise RuntimeError("the list is broken")


def test_a_record_of_a_codec_thread_has_the_request_id(url: str) -> None:
    photo = encoded(Image.new("RGB", (20, 20)), icc_profile=b"broken")
    with logged() as lines:
        httpx.post(f"{url}/stylize?style=tiny", content=photo, headers={"X-Request-ID": "job-7"})
        line = lines.until("ICC profile ignored")
    assert (line["logger"], line["request_id"]) == ("service.codec.colour", "job-7")


def test_a_record_of_the_engine_has_the_request_id(photo_png: bytes) -> None:
    with serve(CPU, BrokenStore(BUNDLED)) as url, logged() as lines:
        httpx.post(f"{url}/stylize?style=muse", content=photo_png, headers={"X-Request-ID": "job-7"})
        line = lines.until("a batch of 1 failed")
        answered = lines.until("answered")
    assert (line["logger"], line["request_id"]) == ("service.engine.engine", "job-7")
    assert "ValueError: torch.Size" in line["exception"]
    assert (answered["level"], answered["problem"]) == ("warning", "internal-error")


def test_an_internal_error_is_logged_by_uvicorn_with_the_request_id() -> None:
    with serve(CPU, BrokenStore(BUNDLED)) as url, logged() as lines:
        httpx.get(f"{url}/models", headers={"X-Request-ID": "job-7"})
        answered = lines.until("answered")
        line = lines.until("Exception in ASGI application")
    assert (answered["status"], answered["problem"]) == (500, "internal-error")
    assert (line["logger"], line["request_id"]) == ("uvicorn.error", "job-7")
    assert "RuntimeError: the list is broken" in line["exception"]


def test_a_record_outside_of_requests_has_no_request_id(url: str) -> None:
    httpx.get(f"{url}/models")
    with logged() as lines:
        logging.getLogger("service").info("on its own")
        assert "request_id" not in lines.until("on its own")


# The settings


@pytest.mark.process
def test_a_server_with_the_log_format_json_logs_nothing_but_json(tmp_path: Path) -> None:
    command = [Path(sys.executable).with_name("impasto"), "serve", "--port", "0"]
    environment = os.environ | {"IMPASTO_DEVICE": "cpu", "IMPASTO_LOG_FORMAT": "json", "IMPASTO_STORE": str(tmp_path)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    watchdog = threading.Timer(2 * SECONDS, process.kill)
    watchdog.start()
    try:
        assert process.stderr is not None
        documents = []
        for line in process.stderr:
            documents.append(json.loads(line))
            if "running on" in documents[-1]["message"]:
                url = documents[-1]["message"].partition("running on ")[2].split()[0]
                assert httpx.get(f"{url}/models").status_code == 200
                process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0
    finally:
        watchdog.cancel()
        process.kill()
    loggers = [document["logger"] for document in documents]
    assert set(loggers) == {"uvicorn.error", "service.server.middleware.access_log"}
    assert loggers.count("service.server.middleware.access_log") == 1


def test_other_libraries_are_logged_only_when_they_warn() -> None:
    with logged(level="debug") as lines:
        logging.getLogger("PIL.PngImagePlugin").debug("STREAM")
        logging.getLogger("PIL.PngImagePlugin").warning("odd")
        assert [line["message"] for line in lines.documents()] == ["odd"]
