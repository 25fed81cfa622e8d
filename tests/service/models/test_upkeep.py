"""Models are loaded ahead of requests, and a server is ready when they are."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import torch

from model_store.card import Task
from model_store.errors import ImpastoError
from model_store.nets import TransformNet
from model_store.store import Store
from service.models.loaded import Models
from service.models.upkeep import Upkeep, parse_preload
from service.server.app import create_app
from service.server.settings import Settings

from ..serving import serve
from ..stores import Publish, SlowStore


@pytest.fixture
def three(store: Store, publish: Publish) -> Store:
    """Return a store with two styles, `a` and `b`, and the net `x2-pixel`."""
    publish("stylize", "a")
    publish("stylize", "b")
    publish("super-resolve", "x2-pixel")
    return store


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" , ", []),
        ("b, a", [("stylize", "b"), ("stylize", "a")]),
        ("a@1,super-resolve/x2-pixel", [("stylize", "a@1"), ("super-resolve", "x2-pixel")]),
        ("all", [("stylize", "a"), ("stylize", "b"), ("super-resolve", "x2-pixel")]),
    ],
)
def test_models_to_preload_are_named_with_or_without_their_task(
    three: Store, text: str, expected: list[tuple[Task, str]]
) -> None:
    assert parse_preload(text, three) == expected


@pytest.mark.parametrize("entry", ["nope", "a@2", "super-resolve/a", "paint/a", "a:0.5", "a@", "stylize/"])
def test_an_unknown_model_to_preload_is_refused_with_the_known_models(three: Store, entry: str) -> None:
    with pytest.raises(ImpastoError, match=f"PRELOAD names '{entry}'.*known: stylize/a, stylize/b, super-resolve/x2-p"):
        parse_preload(f"b,{entry}", three)


def test_preloading_from_a_store_that_cannot_be_read_is_refused_with_the_reason(
    three: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_: object) -> list[int]:
        raise ConnectionError("no route")

    monkeypatch.setattr(three, "versions", cut_off)
    with pytest.raises(ImpastoError, match=r"IMPASTO_PRELOAD needs the store.*no route"):
        parse_preload("a", three)
    assert parse_preload("", three) == []


def test_upkeep_is_ready_when_all_models_are_loaded(three: Store) -> None:
    loading, go_on = threading.Semaphore(0), threading.Semaphore(0)

    def prepare(net: TransformNet) -> TransformNet:
        loading.release()
        assert go_on.acquire(timeout=30)
        return net

    models = Models(three, torch.device("cpu"), prepare=prepare)
    upkeep = Upkeep(models, [("stylize", "a"), ("stylize", "b")], interval=0)
    for name in "ab":
        assert loading.acquire(timeout=30)
        assert not upkeep.is_ready
        assert not models.is_loaded("stylize", name, 1)
        go_on.release()
    upkeep.close()
    assert upkeep.is_ready
    assert all(models.is_loaded("stylize", name, 1) for name in "ab")


def test_upkeep_without_models_to_preload_is_ready_at_once(three: Store) -> None:
    upkeep = Upkeep(Models(three, torch.device("cpu")), [], interval=60)
    assert upkeep.is_ready
    upkeep.close()


def test_upkeep_can_be_closed_between_two_looks_at_the_store(three: Store) -> None:
    before = set(threading.enumerate())
    upkeep = Upkeep(Models(three, torch.device("cpu")), [], interval=3600)
    upkeep.close()
    assert [thread for thread in set(threading.enumerate()) - before if thread.name == "upkeep"] == []


def test_upkeep_looks_for_new_versions_again_and_again(three: Store, publish: Publish) -> None:
    looked = threading.Semaphore(0)

    class Watched(Models):
        def refresh(self) -> None:
            super().refresh()
            looked.release()

    models = Watched(three, torch.device("cpu"))
    upkeep = Upkeep(models, [("stylize", "a")], interval=0.01)
    for version in (2, 3):
        publish("stylize", "a")
        served = (looked.acquire(timeout=30) and models.served_version("stylize", "a") for _ in range(1000))
        assert version in served
    upkeep.close()


def test_a_damaged_model_is_logged_and_the_others_are_loaded(
    three: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "stylize" / "a" / "1" / "model.safetensors").write_bytes(b"")
    loaded = threading.Event()

    def prepare(net: TransformNet) -> TransformNet:
        loaded.set()
        return net

    models = Models(three, torch.device("cpu"), prepare=prepare)
    upkeep = Upkeep(models, [("stylize", "a"), ("stylize", "b")], interval=0)
    assert loaded.wait(30)
    upkeep.close()
    assert upkeep.is_ready
    assert models.is_loaded("stylize", "b", 1)
    assert any("stylize/a is not preloaded" in record.message for record in caplog.records)


def test_a_server_that_preloads_is_not_ready_but_answers_requests(slow_store: SlowStore, photo_png: bytes) -> None:
    settings = Settings(device="cpu", preload="muse")
    with (
        serve(settings, slow_store) as url,
        httpx.Client(base_url=url, timeout=60) as http,
        ThreadPoolExecutor(1) as thread,
    ):
        assert slow_store.entered.wait(30)
        starting, alive = http.get("/readyz"), http.get("/livez")
        painted = thread.submit(http.post, "/stylize?style=muse", content=photo_png)
        slow_store.opened.set()
        assert painted.result().headers["X-Model"] == "muse@1"
        answers = (http.get("/readyz").status_code for _ in range(10_000))
        assert 200 in answers
        loaded = {card["name"] for card in http.get("/models").json() if card["loaded"]}
    assert (starting.status_code, alive.status_code) == (503, 200)
    assert "starting" in starting.json()["detail"]
    assert int(starting.headers["Retry-After"]) >= 1
    assert loaded == {"muse"}


def test_a_server_with_an_unknown_model_to_preload_does_not_start(three: Store) -> None:
    with pytest.raises(ImpastoError, match="'nope'"):
        create_app(Settings(device="cpu", preload="nope"), three)
