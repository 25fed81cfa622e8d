"""API keys over HTTP."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from model_store.store import BUNDLED, Store
from service.server.limits import api_keys as keys
from service.server.settings import Settings

from ....picture_files import plain_png
from ...serving import serve, stylize
from ...stores import GatedStore


@pytest.fixture(scope="module")
def keys_and_entries() -> list[tuple[str, str]]:
    return [keys.make("shop", concurrency=1), keys.make("blog")]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture(scope="module")
def guarded(keys_and_entries: list[tuple[str, str]]) -> Iterator[httpx.Client]:
    """Yield a client of a server with two keys."""
    settings = Settings(device="cpu", api_keys=",".join(entry for _, entry in keys_and_entries))
    with serve(settings, Store(BUNDLED)) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


GUARDED = [("POST", "/stylize?style=muse"), ("POST", "/stylize"), ("POST", "/super-resolve"), ("GET", "/models")]
GUARDED += [("HEAD", "/models"), ("GET", "/models/stylize/muse"), ("GET", "/metrics")]


@pytest.mark.parametrize(("method", "path"), GUARDED)
@pytest.mark.parametrize("sent", [None, "Bearer wrong", "Basic c2hvcDpzaG9w", "nonsense"])
def test_a_request_without_a_known_key_is_refused(
    guarded: httpx.Client, method: str, path: str, sent: str | None
) -> None:
    response = guarded.request(method, path, headers={} if sent is None else {"Authorization": sent})
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    if method != "HEAD":
        assert response.json()["type"] == "urn:impasto:problem:unauthorized"


def test_a_request_with_a_key_is_served(
    guarded: httpx.Client, keys_and_entries: list[tuple[str, str]], photo_png: bytes
) -> None:
    for key, _ in keys_and_entries:
        assert guarded.get("/models", headers=bearer(key)).status_code == 200
        painted = guarded.post("/stylize?style=muse", content=photo_png, headers=bearer(key))
        assert painted.status_code == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/docs", "/openapi.json", "/models/stylize/muse/preview"])
def test_health_documentation_and_previews_are_for_everybody(guarded: httpx.Client, path: str) -> None:
    assert guarded.get(path).status_code == 200


def test_metrics_count_requests_by_the_name_of_the_key(
    guarded: httpx.Client, keys_and_entries: list[tuple[str, str]]
) -> None:
    key, _ = keys_and_entries[1]
    guarded.get("/models", headers=bearer(key))
    shown = guarded.get("/metrics", headers=bearer(key)).text
    assert 'impasto_key_requests_total{key="blog",status="200"}' in shown
    assert key not in shown


def test_the_log_has_the_name_of_the_key_and_not_the_key(
    guarded: httpx.Client, keys_and_entries: list[tuple[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    key, _ = keys_and_entries[1]
    with caplog.at_level("INFO", "service.server.middleware.access_log"):
        guarded.get("/models", headers=bearer(key))
    [fields] = [record.__dict__["fields"] for record in caplog.records if "fields" in record.__dict__]
    assert fields["key"] == "blog"
    assert key not in str(fields)


def test_a_client_without_a_key_is_refused_before_it_sends_its_body(guarded: httpx.Client) -> None:
    with socket.create_connection((guarded.base_url.host, guarded.base_url.port), timeout=20) as connection:
        head = (
            "POST /stylize?style=muse HTTP/1.1\r\nHost: impasto\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n"
        )
        connection.sendall(head.encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")


def test_a_key_has_no_more_requests_in_flight_than_its_concurrency(
    gated_store: GatedStore, keys_and_entries: list[tuple[str, str]]
) -> None:
    (capped, _), (other, _) = keys_and_entries
    settings = Settings(device="cpu", api_keys=",".join(entry for _, entry in keys_and_entries))
    with serve(settings, gated_store) as url, ThreadPoolExecutor(2) as threads:
        first = threads.submit(stylize, url, plain_png(1), **bearer(capped))
        assert gated_store.gate.entered.wait(30)
        refused = stylize(url, plain_png(2), **bearer(capped))
        of_another = threads.submit(stylize, url, plain_png(3), **bearer(other))
        gated_store.gate.opened.set()
        assert (first.result().status_code, of_another.result().status_code) == (200, 200)
    assert refused.status_code == 429
    assert "'shop'" in refused.json()["detail"]
    assert int(refused.headers["Retry-After"]) >= 1
