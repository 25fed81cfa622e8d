"""API keys are secrets: they are compared in constant time, and appear in nothing that the server writes or answers."""

import hmac
import json
import logging
from contextlib import suppress

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from model_store.store import BUNDLED, Store
from service.server.limits import api_keys as keys
from service.server.settings import Settings
from service.server.telemetry import logs

from ...serving import serve


@pytest.mark.parametrize("given", ["first", "last", "none"])
def test_a_key_is_compared_with_all_known_ones_in_constant_time(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    (first, one), (_, two), (last, three) = (keys.make(name) for name in ("one", "two", "three"))
    known = keys.parse(",".join((one, two, three)))
    compared = []

    def compare(ours: str, theirs: str) -> bool:
        compared.append(ours)
        return compare_digest(ours, theirs)

    compare_digest = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", compare)
    found = keys.find(known, {"first": first, "last": last, "none": "impasto_other"}[given])
    assert (found and found.name) == {"first": "one", "last": "three", "none": None}[given]
    assert compared == [key.digest for key in known]


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Capture everything that `impasto serve` logs at its lowest level."""
    for name, configured in logs.configuration("text", "debug")["loggers"].items():
        if "level" in configured:
            caplog.set_level(configured["level"], name)
    caplog.handler.setLevel(logging.DEBUG)
    return caplog


def test_no_key_is_in_the_log_the_metrics_or_an_answer(logged: pytest.LogCaptureFixture, photo_png: bytes) -> None:
    key, entry = keys.make("shop")
    wrong = key[::-1]
    with serve(Settings(device="cpu", api_keys=entry), Store(BUNDLED), log_level=None) as url:
        answers = []
        for each in (key, wrong):
            authorization = {"Authorization": f"Bearer {each}"}
            paths = ("/models", "/metrics", "/nowhere", "/docs", "/openapi.json", "/stylize?style=muse&quality=900")
            answers += [httpx.get(url + path, headers=authorization) for path in paths]
            answers += [httpx.post(f"{url}/stylize?style=muse", content=photo_png, headers=authorization)]
            live = connect(f"{url.replace('http', 'ws', 1)}/stylize/live?style=muse", additional_headers=authorization)
            with live as websocket, suppress(ConnectionClosed, TimeoutError):
                websocket.send("{}")
                answers.append(httpx.Response(200, text=str(websocket.recv(10))))
        answers.append(httpx.get(f"{url}/metrics", headers={"Authorization": f"Bearer {key}"}))
    written = [answer.text + str(answer.headers) for answer in answers]
    written += [logs.TextFormatter().format(record) for record in logged.records]
    written += [str(json.loads(logs.JsonFormatter().format(record))) for record in logged.records]
    digest = entry.split(":")[1]
    for secret in (key, wrong, digest):
        assert not [text for text in written if secret in text]
    assert 'key="shop"' in answers[-1].text
