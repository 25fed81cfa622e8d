"""Whatever is in a header, a form or a live frame, it is answered, and never as a fault of the server.

`tests/service/server/test_schema.py` does the same with what the OpenAPI document tells of: options and bodies.
"""

import json
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from model_store.store import BUNDLED, Store
from service.server.limits import api_keys
from service.server.settings import Settings

from ..picture_files import plain_png
from ..service.serving import serve
from .small_pictures import small_pictures

pytestmark = pytest.mark.process  # together they take half a minute

KEY, ENTRY = api_keys.make("tests")
PICTURE = plain_png(90)
thorough = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)
"""The settings of Hypothesis: the same examples every time."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    limits = Settings(device="cpu", max_pixels=40_000, max_upload_bytes=100_000, api_keys=ENTRY)
    with serve(limits, Store(BUNDLED)) as url:
        yield url
        assert metric_with_key(url, "impasto_requests_in_flight") == 0


@pytest.fixture(scope="module")
def http(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=60) as client:
        yield client


def metric_with_key(url: str, name: str) -> float:
    lines = httpx.get(f"{url}/metrics", headers={"Authorization": f"Bearer {KEY}"}).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def assert_is_answered(answer: httpx.Response) -> None:
    """Assert that an answer is a good one, or a problem of the client's; or that it gave no time."""
    assert answer.status_code < 500 or answer.status_code == 504, answer.text
    if answer.status_code >= 400:
        document = answer.json()
        assert answer.headers["content-type"] == "application/problem+json"
        assert (document["status"], bool(document["detail"])) == (answer.status_code, True)
        assert document["request_id"] == answer.headers["x-request-id"]


# Headers

_texts = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40)
_numbers = st.integers(-(2**70), 2**70).map(str) | st.floats().map(str)
_media = st.lists(
    st.sampled_from(["image/png", "image/*", "*/*", "q=0.5", "q=nan", "q=", ";", ",", "multipart/mixed", "x/y", '"']),
    max_size=8,
).map(";".join)
_lists = st.lists(st.sampled_from(["*", '"a"', 'W/"b"', '"', "W/", ",", " "]), max_size=12).map("".join)
_values = (_texts | _numbers | _media | _lists).map(str.strip)
_headers = st.dictionaries(
    st.sampled_from(
        [
            *("X-Deadline-Ms", "Accept", "If-None-Match", "X-Request-ID", "Content-Type", "Authorization"),
            *("Accept-Encoding", "Range", "Origin", "Expect", "traceparent", "X-Forwarded-For", "Content-Encoding"),
        ]
    ),
    _values,
    max_size=5,
)


@thorough
@given(headers=_headers, route=st.sampled_from(["/stylize?style=muse", "/super-resolve?factor=2"]))
def test_any_value_of_a_header_is_answered(http: httpx.Client, headers: dict[str, str], route: str) -> None:
    raw = [
        (name.encode(), value.encode("latin-1"))
        for name, value in ({"Authorization": f"Bearer {KEY}"} | headers).items()
    ]
    assert_is_answered(http.post(route, content=PICTURE, headers=raw))


@thorough
@given(
    headers=_headers, path=st.sampled_from(["/models", "/models/stylize/muse", "/models/stylize/muse/preview.jpg", "/"])
)
def test_any_value_of_a_header_of_a_get_is_answered(http: httpx.Client, headers: dict[str, str], path: str) -> None:
    raw = [
        (name.encode(), value.encode("latin-1"))
        for name, value in ({"Authorization": f"Bearer {KEY}"} | headers).items()
    ]
    assert_is_answered(http.get(path, headers=raw))


# Forms

_bytes = st.binary(max_size=60)
_words = st.sampled_from(
    [b"image", b"url", b"quality", b"", b'"', b"\xff", b"a" * 300, b"../x", b"%00", b"\xc3\xa4.png"]
)
_dispositions = st.builds(
    lambda kind, name, file, rest: b'Content-Disposition: %s; name="%s"%s%s' % (kind, name, file, rest),
    st.sampled_from([b"form-data", b"attachment", b""]),
    _words,
    st.just(b"")
    | _words.map(lambda name: b'; filename="%s"' % name)
    | _words.map(lambda name: b"; filename*=UTF-8''" + name),
    st.sampled_from([b"", b";", b"; name=image", b'; x="']),
)
_part_headers = st.lists(
    _dispositions
    | st.sampled_from([b"Content-Type: image/png", b"Content-Type: ", b"no colon", b": x", b"A: " + b"b" * 9000]),
    max_size=3,
).map(b"\r\n".join)
_parts = st.builds(
    lambda headers, body, gap: headers + gap + body,
    _part_headers,
    st.just(PICTURE) | _bytes,
    st.sampled_from([b"\r\n\r\n", b"\r\n", b"\n\n", b""]),
)
_forms = st.builds(
    lambda parts, mark, end, behind: b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + end + behind,
    st.lists(_parts, max_size=20),
    st.sampled_from([b"--b", b"--b ", b"--c", b"-b"]),
    st.sampled_from([b"--b--\r\n", b"--b--", b"--b", b""]),
    _bytes,
)
_form_types = st.sampled_from(
    [
        "multipart/form-data; boundary=b",
        'multipart/form-data; boundary="b"',
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "b" * 300,
        "multipart/form-data; charset=no; boundary=b",
        "multipart/form-data; charset=utf-16; boundary=b",
        "multipart/mixed; boundary=b",
        "application/x-www-form-urlencoded",
    ]
)


@thorough
@given(form=_forms, content_type=_form_types)
def test_any_form_is_answered(http: httpx.Client, form: bytes, content_type: str) -> None:
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": content_type}
    assert_is_answered(http.post("/stylize?style=muse&size=16", content=form, headers=headers))


# Frames of live connections

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
_options = st.dictionaries(
    st.sampled_from(["style", "strength", "quality", "format", "size", "preserve_color", "stroke", "url"]),
    _json | st.sampled_from(["muse", "candy", "muse:0.5,candy:0.5", "webp", 0.5, 24]),
    max_size=4,
)
_texts_sent = (_json | _options).map(json.dumps) | st.text(max_size=30) | st.just("[" * 50_000)
_pictures_sent = st.sampled_from([PICTURE, b"", *small_pictures().values()]) | _bytes
_frames = st.lists(_texts_sent | _pictures_sent, max_size=6)


@settings(thorough, max_examples=60)
@given(
    frames=_frames, query=st.sampled_from(["style=muse", "style=muse&size=16", "", "style=no", "style=muse&quality=x"])
)
def test_any_frame_of_a_live_connection_is_answered(url: str, frames: list[str | bytes], query: str) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    with connect(f"{url.replace('http', 'ws', 1)}/stylize/live?{query}", additional_headers=headers) as connection:
        with suppress(ConnectionClosed):
            for frame in frames:
                connection.send(frame)
            connection.send("{}")  # is answered by the status, after all that is sent before it was read
            for message in connection:
                if isinstance(message, str) and "style" in json.loads(message):
                    break
        assert connection.close_code in {None, *range(4400, 4500), 1007, 1009}, connection.close_reason
