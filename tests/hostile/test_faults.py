"""Each fault at each stage of a request: how it is answered, that nothing is left over, and that the next is well."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from starlette import formparsers

from model_store.nets import build
from model_store.store import BUNDLED, Store
from service.server.settings import Settings

from ..drafts import draft_of
from ..picture_files import encoded
from ..service.serving import has_a_place, metric, serve, until
from .fault_table import CELLS_OF_REQUESTS, TABLE, markdown
from .faults import Fault

pytestmark = pytest.mark.process  # together they take half a minute

CLIENT = httpx.Client(timeout=30)
PLACES = 4
LITTLE_MS = "300"
"""Milliseconds that a request waits in the tests of what hangs."""
SEAMS = {
    "upload": "service.server.routes.pictures.read_uploads",
    "store read": "model_store.store.Store.open",
    "header": "service.codec.read_header",
    "decode": "service.codec.decode",
    "net": "service.engine.lane.Lane.compute",
    "encode": "service.codec.encode",
    "send": "starlette.responses.Response.__call__",
}
"""The function of each stage, before which a fault comes."""
OF_CLIENTS = {("upload", "hang"), ("upload", "client gone"), ("send", "hang"), ("send", "client gone")}
"""Faults that the client makes, and no function."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return a store with a tiny net, and one more for each test of reading it."""
    store = Store(tmp_path_factory.mktemp("store"), BUNDLED)
    for name in ("tiny", *(f"read-{fault.replace(' ', '-')}" for fault in TABLE["store read"])):
        draft = draft_of("stylize", name)
        store.publish(draft, build(draft.architecture, draft.parameters).state_dict())
    return store


SETTINGS = Settings(device="cpu", max_in_flight=PLACES, codec_threads=2, upload_timeout_s=0.5, store_refresh_s=0)


@pytest.fixture(scope="module")
def url(store: Store) -> Iterator[str]:
    with serve(SETTINGS, store) as url:
        assert paint(url).status_code == 200
        yield url


@pytest.fixture
def fault(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fault]:
    """Put the fault of a cell in its place, and end it after the test."""
    stage, kind = request.param
    fault = Fault(kind)
    if stage == "upload" and kind in {"disk full", "slow disk"}:

        class Spool(formparsers.SpooledTemporaryFile):  # type: ignore[name-defined, misc]
            def rollover(self) -> None:  # a form becomes too large for memory
                fault.come(monkeypatch)
                super().rollover()

        monkeypatch.setattr(formparsers, "SpooledTemporaryFile", Spool)
    elif stage in SEAMS and (stage, kind) not in OF_CLIENTS:
        fault.put_before(SEAMS[stage], monkeypatch)
    yield fault
    fault.over.set()


def picture(side: int = 16) -> bytes:
    """Return a picture that no test had before."""
    return encoded(Image.fromarray(np.random.default_rng().integers(0, 256, (side, side, 3), dtype=np.uint8)))


def paint(url: str, style: str = "tiny", **headers: str) -> httpx.Response:
    return CLIENT.post(f"{url}/stylize", params={"style": style}, content=picture(), headers=headers)


def send_raw(url: str, body: bytes, length: int, style: str = "tiny") -> socket.socket:
    """Send a request, or a part of it, and leave its answer unread."""
    address = httpx.URL(url)
    connection = socket.create_connection((address.host, address.port), timeout=30)
    head = f"POST /stylize?style={style} HTTP/1.1\r\nHost: impasto\r\nContent-Length: {length}\r\n\r\n"
    connection.sendall(head.encode() + body)
    return connection


def answer_of(url: str, stage: str, fault: Fault) -> str:
    """Send the request that meets a fault, and return how it is answered."""
    style = f"read-{fault.kind.replace(' ', '-')}" if stage == "store read" else "tiny"
    if fault.kind == "client gone":
        return _leave(url, stage, fault, style)
    if stage == "queue":
        return _wait_behind_another(url, fault)
    if stage == "send" and fault.kind == "hang":
        return _leave_unread(url)
    if stage == "upload" and fault.kind == "hang":
        with send_raw(url, b"half", 1000) as connection:
            return connection.recv(12).decode().rpartition(" ")[2]
    if stage == "upload" and fault.kind in {"disk full", "slow disk"}:
        answer = CLIENT.post(f"{url}/stylize?style=tiny&size=16", files={"image": picture(700)})
        return str(answer.status_code)
    headers = {"X-Deadline-Ms": LITTLE_MS} if fault.kind == "hang" else {}
    return str(paint(url, style, **headers).status_code)


def _leave(url: str, stage: str, fault: Fault, style: str) -> str:
    """Send a request, close its connection at a stage, and return that it was dropped once its place is free."""
    file = picture(16)
    if stage == "upload":
        fault.over.set()
        with send_raw(url, file[:10], len(file)):
            time.sleep(0.05)
        return "dropped"
    if stage == "send":
        return _leave_unread(url)
    busy = Fault("hang")
    with pytest.MonkeyPatch.context() as monkeypatch:
        if stage == "queue":
            busy.put_before(SEAMS["net"], monkeypatch)
            threading.Thread(target=paint, args=[url]).start()
            assert busy.entered.wait(30)
        with send_raw(url, file, len(file), style):
            if stage == "queue":
                assert until(lambda: metric(url, "impasto_queued_pictures") == 1)
            else:
                assert fault.entered.wait(30)
        assert until(lambda: metric(url, "impasto_requests_in_flight") == (stage == "queue"))
        busy.over.set()
    fault.over.set()
    return "dropped"


def _leave_unread(url: str) -> str:
    """Have a large answer made, read none of it, and return that it was dropped if its place is free nevertheless."""
    file = picture(700)
    with send_raw(url, file, len(file)) as connection:
        connection.recv(1, socket.MSG_PEEK)
        assert has_a_place(url)
    return "dropped"


def _wait_behind_another(url: str, fault: Fault) -> str:
    """Send a request that waits while another is computed."""
    busy = Fault("hang")
    with pytest.MonkeyPatch.context() as monkeypatch:
        busy.put_before(SEAMS["net"], monkeypatch)
        first = threading.Thread(target=paint, args=[url])
        first.start()
        assert busy.entered.wait(30)
        if fault.kind == "hang":
            answer = paint(url, **{"X-Deadline-Ms": LITTLE_MS})
            busy.over.set()
        else:
            threading.Timer(0.2, lambda: (fault.come(monkeypatch), busy.over.set())).start()
            answer = paint(url)
        first.join()
    return str(answer.status_code)


def assert_is_well(url: str) -> None:
    """Assert that nothing is left of what went wrong, and that as many requests as there are places are answered."""
    assert until(lambda: metric(url, "impasto_requests_in_flight") == metric(url, "impasto_queued_pictures") == 0)
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(paint(url).status_code)) for _ in range(PLACES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert answers == [200] * PLACES
    assert CLIENT.get(f"{url}/livez").status_code == 200


@pytest.mark.parametrize(
    ("stage", "fault"),
    [(cell[0], cell) for cell in CELLS_OF_REQUESTS if cell[1] != "killed"],
    ids=[" · ".join(cell) for cell in CELLS_OF_REQUESTS if cell[1] != "killed"],
    indirect=["fault"],
)
def test_a_fault_is_answered_and_leaves_nothing_over(url: str, stage: str, fault: Fault) -> None:
    started = time.monotonic()
    assert answer_of(url, stage, fault) == TABLE[stage][fault.kind]
    assert time.monotonic() - started < 20
    fault.over.set()
    assert_is_well(url)


@pytest.mark.parametrize("fault", [("net", "killed")], indirect=True)
def test_a_thread_of_the_device_that_ends_says_that_the_server_needs_a_restart(store: Store, fault: Fault) -> None:
    with serve(SETTINGS, store) as url:
        answers = [paint(url) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [503, 503]
        assert fault.entered.is_set()
        assert "restart" in answers[0].json()["detail"]
        assert httpx.get(f"{url}/livez").status_code == 503
        assert metric(url, "impasto_requests_in_flight") == metric(url, "impasto_queued_pictures") == 0


def test_the_docs_show_the_table() -> None:
    assert markdown() in (Path(__file__).parents[2] / "docs" / "security.md").read_text()
