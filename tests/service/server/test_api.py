import io
import re
import socket
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from PIL import Image, ImageChops, ImageStat

from model_store.card import Card
from model_store.store import BUNDLED, Store
from service.server.settings import Settings

from ...picture_files import encoded
from ..serving import serve
from ..stores import Publish, SlowStore

MIB = 1024**2


def plain(width: int, height: int, format: str = "png") -> bytes:  # noqa: A002
    return encoded(Image.new("RGB", (width, height), (90, 120, 30)), format)


def bomb() -> bytes:
    """Return a PNG that announces 100,000×100,000 pixels and has next to none."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    start = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + start + struct.pack(">I", 100) + b"IDAT" + bytes(104)


def picture_in(response: httpx.Response) -> Image.Image:
    assert response.status_code == 200, response.text
    image = Image.open(io.BytesIO(response.content))
    assert response.headers["Content-Type"] == f"image/{image.format.lower()}"
    return image


def problem_in(response: httpx.Response, status: int) -> dict[str, Any]:
    """Check what all error answers have in common, and return the problem document."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    document = response.json()
    assert set(document) == {"type", "title", "status", "detail", "request_id"}
    assert all(document.values())
    assert document["status"] == status
    assert document["request_id"] == response.headers["X-Request-ID"]
    return document


# Pictures


def test_a_photo_is_painted_in_its_own_size_and_format(
    http: httpx.Client, photo_png: bytes, photo: Image.Image
) -> None:
    painted = picture_in(http.post("/stylize?style=muse", files={"image": photo_png}))
    assert (painted.size, painted.format) == (photo.size, "PNG")


def test_a_picture_is_enlarged_four_times(http: httpx.Client, photo_png: bytes, photo: Image.Image) -> None:
    enlarged = picture_in(http.post("/super-resolve?factor=4", files={"image": photo_png}))
    assert enlarged.size == (4 * photo.width, 4 * photo.height)


def test_a_picture_is_enlarged_to_a_size_and_known_by_the_etag_of_its_scale(
    http: httpx.Client, photo_png: bytes
) -> None:
    made = http.post("/super-resolve?size=72", content=photo_png)
    assert max(picture_in(made).size) == 72
    assert made.headers["ETag"] == http.post("/super-resolve?scale=1.5", content=photo_png).headers["ETag"]
    known = {"If-None-Match": made.headers["ETag"]}
    assert http.post("/super-resolve?size=72", content=photo_png, headers=known).status_code == 304
    assert http.post("/super-resolve?size=73", content=photo_png, headers=known).status_code == 200


def test_match_histogram_gives_an_enlargement_the_colours_of_the_upload(http: httpx.Client) -> None:
    grey = Image.radial_gradient("L").resize((40, 40))
    plainly, matched = (
        http.post("/super-resolve", params={"match_histogram": asked}, content=encoded(grey, "png"))
        for asked in ("false", "true")
    )
    wanted, given = (sorted(image.convert("L").tobytes()) for image in (grey, picture_in(matched)))
    assert sum(abs(a - b) for a, b in zip(wanted, given[8::16], strict=True)) / len(wanted) < 1
    assert plainly.content != matched.content
    assert plainly.headers["ETag"] != matched.headers["ETag"]


def test_colours_are_not_matched_unless_asked_for(http: httpx.Client, photo_png: bytes) -> None:
    default, off = (http.post(f"/super-resolve{query}", content=photo_png) for query in ("", "?match_histogram=false"))
    assert default.content == off.content
    assert default.headers["ETag"] == off.headers["ETag"]


def test_a_self_ensemble_is_close_to_the_net_and_has_an_etag_of_its_own(http: httpx.Client, photo_png: bytes) -> None:
    default, off, on = (
        http.post("/super-resolve", params=asked, content=photo_png)
        for asked in ({}, {"self_ensemble": "false"}, {"self_ensemble": "true"})
    )
    assert (off.content, off.headers["ETag"]) == (default.content, default.headers["ETag"])
    assert on.headers["ETag"] != default.headers["ETag"]
    difference = ImageChops.difference(picture_in(default), picture_in(on))
    assert difference.getbbox() is not None
    assert max(ImageStat.Stat(difference).mean) < 3


def test_blurred_uploads_are_enlarged_by_a_net_of_their_own(store: Store, publish: Publish, photo_png: bytes) -> None:
    publish("super-resolve", "x4-pixel", factor=4)
    publish("super-resolve", "x4-pixel-blurred", factor=4)
    with serve(Settings(device="cpu"), store) as url:
        sharp, blurred, other = (
            httpx.post(f"{url}/super-resolve?{query}", content=photo_png)
            for query in ("factor=4", "factor=4&blurred=true", "factor=8&blurred=true")
        )
    assert (sharp.headers["X-Model"], blurred.headers["X-Model"]) == ("x4-pixel@1", "x4-pixel-blurred@1")
    assert sharp.headers["ETag"] != blurred.headers["ETag"]
    assert other.status_code == 404
    assert "known factors: 4" in other.json()["detail"]


def test_light_nets_paint_where_they_are_asked_for(store: Store, publish: Publish, photo_png: bytes) -> None:
    for name in ("one", "one-light", "two"):
        publish("stylize", name)
    with serve(Settings(device="cpu"), store) as url:
        full, light, none = (
            httpx.post(f"{url}/stylize?{query}", content=photo_png)
            for query in ("style=one&light=false", "style=one&light=true", "style=two&light=true")
        )
    assert (full.headers["X-Model"], light.headers["X-Model"]) == ("one@1", "one-light@1")
    assert full.headers["ETag"] != light.headers["ETag"]
    assert "styles that have one: one" in problem_in(none, 404)["detail"]


def test_styles_are_blended_by_their_shares(store: Store, publish: Publish, photo_png: bytes) -> None:
    for name in ("one", "two"):
        publish("stylize", name)
    with serve(Settings(device="cpu"), store) as url:
        half, same, other, alone = (
            httpx.post(f"{url}/stylize", params={"style": style}, content=photo_png)
            for style in ("one:1,two:1", "two@1:0.5,one:0.5", "one:0.3,two:0.7", "one")
        )
    picture_in(half)
    assert half.headers["X-Model"] == same.headers["X-Model"] == "one@1:0.5,two@1:0.5"
    assert other.headers["X-Model"] == "two@1:0.7,one@1:0.3"
    assert (half.content, half.headers["ETag"]) == (same.content, same.headers["ETag"])
    assert len({response.headers["ETag"] for response in (half, other, alone)}) == 3
    assert len({response.content for response in (half, other, alone)}) == 3


def test_fidelity_chooses_between_the_pixel_and_the_feature_loss(
    store: Store, publish: Publish, photo_png: bytes
) -> None:
    for name in ("x4-pixel", "x4-feature"):
        publish("super-resolve", name, factor=4)
    with serve(Settings(device="cpu"), store) as url:
        plainly, full, some, ensemble, none = (
            httpx.post(f"{url}/super-resolve?factor=4{query}", content=photo_png)
            for query in ("", "&fidelity=1", "&fidelity=0.25", "&fidelity=0.25&self_ensemble=true", "&fidelity=0")
        )
    assert full.headers["X-Model"] == "x4-pixel@1"
    assert some.headers["X-Model"] == ensemble.headers["X-Model"] == "x4-feature@1:0.75,x4-pixel@1:0.25"
    assert none.headers["X-Model"] == "x4-feature@1"
    assert (full.content, full.headers["ETag"]) == (plainly.content, plainly.headers["ETag"])
    assert len({response.headers["ETag"] for response in (full, some, ensemble, none)}) == 4
    assert all(picture_in(response).size == (192, 128) for response in (full, some, ensemble, none))


@pytest.mark.parametrize("content_type", ["image/png", "image/jpeg", "IMAGE/PNG", "application/octet-stream", None])
def test_the_picture_may_be_the_raw_body(
    http: httpx.Client, photo_png: bytes, photo: Image.Image, content_type: str | None
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    painted = picture_in(http.post("/stylize?style=muse", content=photo_png, headers=headers))
    assert painted.size == photo.size


def test_the_raw_body_and_the_field_give_the_same_answer(http: httpx.Client, photo_png: bytes) -> None:
    raw = http.post("/stylize?style=muse", content=photo_png)
    field = http.post("/stylize?style=muse", files={"image": photo_png})
    assert raw.content == field.content
    assert raw.headers["ETag"] == field.headers["ETag"]


def test_a_version_of_a_style_can_be_asked_for(http: httpx.Client, photo_png: bytes) -> None:
    assert http.post("/stylize?style=muse@1", content=photo_png).headers["X-Model"] == "muse@1"


@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "avif"])
def test_the_answer_has_the_format_asked_for(http: httpx.Client, photo_png: bytes, format: str) -> None:  # noqa: A002
    painted = picture_in(http.post("/stylize", params={"style": "muse", "format": format}, content=photo_png))
    assert painted.format == format.upper()


@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "avif"])
def test_auto_keeps_the_format_of_the_upload(http: httpx.Client, format: str) -> None:  # noqa: A002
    painted = picture_in(http.post("/stylize?style=muse&format=auto", content=plain(32, 32, format)))
    assert painted.format == format.upper()


def test_less_quality_makes_a_smaller_answer(http: httpx.Client, photo_png: bytes) -> None:
    sizes = [
        len(http.post(f"/stylize?style=muse&format=jpeg&quality={quality}", content=photo_png).content)
        for quality in (1, 50, 100)
    ]
    assert sizes == sorted(set(sizes))


def test_the_answer_has_the_model_and_the_time_of_each_stage(http: httpx.Client, photo_png: bytes) -> None:
    headers = http.post("/stylize?style=muse", content=photo_png).headers
    assert headers["X-Model"] == "muse@1"
    assert re.fullmatch(r'W/"[0-9a-f]+"', headers["ETag"])
    stages = dict(re.findall(r"(\w+);dur=([0-9.]+)", headers["Server-Timing"]))
    assert list(stages) == ["decode", "queue", "net", "encode"]
    assert float(stages["net"]) > 0


def test_another_quality_has_another_etag(http: httpx.Client, photo_png: bytes) -> None:
    etags = {
        http.post(f"/stylize?style=muse&quality={quality}", content=photo_png).headers["ETag"] for quality in (80, 90)
    }
    assert len(etags) == 2


def test_many_clients_at_once_are_all_served(server: str, photo_png: bytes, photo: Image.Image) -> None:
    def call(_: int) -> tuple[int, int]:
        return picture_in(httpx.post(f"{server}/stylize?style=muse", content=photo_png, timeout=60)).size

    with ThreadPoolExecutor(12) as threads:
        assert list(threads.map(call, range(24))) == [photo.size] * 24


# Request ids


def test_the_request_id_of_a_client_is_sent_back(http: httpx.Client, photo_png: bytes) -> None:
    for response in (
        http.get("/livez", headers={"X-Request-ID": "job-7.a_b"}),
        http.get("/nowhere", headers={"X-Request-ID": "job-7.a_b"}),
        http.post("/stylize?style=muse", content=photo_png, headers={"X-Request-ID": "job-7.a_b"}),
    ):
        assert response.headers.get_list("X-Request-ID") == ["job-7.a_b"]


@pytest.mark.parametrize("nasty", ["", "two words", "<script>", 'a"b', "a" * 129, "a,b", "a;b"])
def test_an_invalid_request_id_is_replaced(http: httpx.Client, nasty: str) -> None:
    given = http.get("/livez", headers={"X-Request-ID": nasty}).headers["X-Request-ID"]
    assert given != nasty
    assert re.fullmatch(r"[0-9a-f]+", given)


def test_every_request_gets_an_id_of_its_own(http: httpx.Client) -> None:
    assert len({http.get("/livez").headers["X-Request-ID"] for _ in range(3)}) == 3


# Bad requests


class Bad(NamedTuple):
    """A request that is refused, with the status of the answer and a regular expression for its detail."""

    path: str
    body: dict[str, Any]
    status: int
    says: str


def raw(data: bytes, content_type: str = "image/png") -> dict[str, Any]:
    return {"content": data, "headers": {"Content-Type": content_type}}


def multipart(data: bytes) -> dict[str, Any]:
    return raw(data, "multipart/form-data; boundary=x")


GOOD = raw(plain(32, 32))
CHELSEA = (Path(__file__).parents[2] / "pictures" / "chelsea.jpg").read_bytes()

BAD = {
    "unknown style": Bad("/stylize?style=nope", GOOD, 404, "'nope'.*known: .*muse"),
    "style with a NUL": Bad("/stylize?style=a%00b", GOOD, 404, "known: .*muse"),
    "style outside the store": Bad("/stylize?style=../stylize/muse", GOOD, 404, "known: .*muse"),
    "unknown version": Bad("/stylize?style=muse@99", GOOD, 404, "'muse@99'.*known: muse@1"),
    "style that climbs": Bad("/stylize?style=../super-resolve/x4-pixel", GOOD, 404, "known: .*muse"),
    "style of another task": Bad("/stylize?style=x4-pixel", GOOD, 404, "known: .*muse"),
    "unknown factor": Bad("/super-resolve?factor=3", GOOD, 404, "known factors: 4"),
    "factor that is no number": Bad("/super-resolve?factor=big", GOOD, 422, "factor"),
    "factor too small": Bad("/super-resolve?factor=1", GOOD, 422, "factor"),
    "factor too large": Bad(f"/super-resolve?factor={10**30}", GOOD, 422, "factor"),
    "factor without a net for blurred": Bad("/super-resolve?factor=64&blurred=true", GOOD, 404, "or leave blurred out"),
    "factor and scale": Bad("/super-resolve?factor=4&scale=3", GOOD, 422, "factor and scale each"),
    "factor and size": Bad("/super-resolve?factor=4&size=64", GOOD, 422, "factor and size each"),
    "size smaller than the upload": Bad("/super-resolve?size=31", GOOD, 422, "ask for size=32 or more"),
    "size too large for the upload": Bad("/super-resolve?size=257", GOOD, 422, "ask for size=256 or less"),
    "size without a net for it": Bad("/super-resolve?size=200&blurred=true", GOOD, 404, "or leave blurred out"),
    "histogram matched perhaps": Bad("/super-resolve?match_histogram=perhaps", GOOD, 422, "match_histogram"),
    "histogram of a style": Bad("/stylize?style=muse&match_histogram=true", GOOD, 422, "no option 'match_histogram'"),
    "blurred perhaps": Bad("/super-resolve?blurred=perhaps", GOOD, 422, "blurred"),
    "self-ensemble perhaps": Bad("/super-resolve?self_ensemble=perhaps", GOOD, 422, "self_ensemble"),
    "self-ensemble of a style": Bad("/stylize?style=muse&self_ensemble=true", GOOD, 422, "no option 'self_ensemble'"),
    "missing style": Bad("/stylize", GOOD, 422, "'style' is missing"),
    "style too long": Bad(f"/stylize?style={'m' * 1000}", GOOD, 422, "style"),
    "blend with a part without share": Bad("/stylize?style=muse:1,muse", GOOD, 422, "'muse' of the blend has no share"),
    "blend of one style twice": Bad("/stylize?style=muse:1,muse@1:1", GOOD, 422, "twice"),
    "blend with an unknown style": Bad("/stylize?style=muse:1,nope:1", GOOD, 404, "'nope'.*known: .*muse"),
    "fidelity too large": Bad("/super-resolve?fidelity=1.1", GOOD, 422, "fidelity"),
    "fidelity that is no number": Bad("/super-resolve?fidelity=nan", GOOD, 422, "fidelity"),
    "fidelity without a net for it": Bad("/super-resolve?factor=64&fidelity=0", GOOD, 404, "or leave fidelity out"),
    "fidelity of blurred": Bad("/super-resolve?blurred=true&fidelity=0.5", GOOD, 422, "leave out blurred or fidelity"),
    "unknown option": Bad("/stylize?style=muse&stile=muse", GOOD, 422, "no option 'stile'"),
    "option of another route": Bad("/stylize?style=muse&factor=4", GOOD, 422, "no option 'factor'"),
    "quality too small": Bad("/stylize?style=muse&quality=0", GOOD, 422, "quality"),
    "quality too large": Bad("/stylize?style=muse&quality=101", GOOD, 422, "quality"),
    "unknown format": Bad("/stylize?style=muse&format=gif", GOOD, 422, "^format: .*auto.*jpeg.*png.*webp.*avif"),
    "empty body": Bad("/stylize?style=muse", raw(b""), 422, "no picture"),
    "empty field": Bad("/stylize?style=muse", {"files": {"image": b""}}, 422, "no picture"),
    "text named .jpg": Bad("/stylize?style=muse", {"files": {"image": ("a.jpg", b"Dear server")}}, 415, "JPEG"),
    "ppm": Bad("/stylize?style=muse", raw(plain(32, 32, "ppm")), 415, "JPEG"),
    "truncated JPEG": Bad("/stylize?style=muse", raw(CHELSEA[: len(CHELSEA) // 2]), 422, "cut short"),
    "truncated PNG": Bad("/stylize?style=muse", raw(plain(32, 32)[:60]), 422, "cut short"),
    "PNG bomb": Bad("/stylize?style=muse", raw(bomb()), 413, "this server takes up to|has more than"),
    "too many pixels": Bad("/stylize?style=muse", raw(plain(1000, 141)), 413, "1,000×141"),
    "answer too large": Bad("/super-resolve", raw(plain(100, 90)), 413, "400×360"),
    "too narrow": Bad("/stylize?style=muse", raw(plain(1, 3_000)), 422, "1×3,000 is too narrow"),
    "too many bytes": Bad("/stylize?style=muse", raw(bytes(MIB + 1)), 413, "1,048,576 byte"),
    "far too many bytes": Bad("/stylize?style=muse", raw(bytes(20 * MIB)), 413, "1,048,576 byte"),
    "too many bytes in a field": Bad(
        "/stylize?style=muse", {"files": {"image": bytes(2 * MIB)}}, 413, "1,048,576 bytes"
    ),
    "JSON": Bad("/stylize?style=muse", {"json": {"image": ""}}, 415, "multipart field 'image'"),
    "what curl --data sends": Bad("/stylize?style=muse", {"data": {"a": "b"}}, 415, "x-www-form-urlencoded"),
    "another field": Bad("/stylize?style=muse", {"files": {"picture": plain(32, 32)}}, 422, "no form field 'picture'"),
    "field without a file": Bad("/stylize?style=muse", {"files": {"image": (None, "a.jpg")}}, 422, "no file"),
    "too many pictures": Bad("/stylize?style=muse", {"files": [("image", b"")] * 17}, 400, "Too many files"),
    "url to fetch": Bad("/stylize?style=muse&url=http://127.0.0.1/a.jpg", GOOD, 422, "fetches no pictures"),
    "field with a url to fetch": Bad(
        "/stylize?style=muse", {"files": {"url": (None, "http://127.0.0.1/a.jpg")}}, 422, "fetches no pictures"
    ),
    "option as a field": Bad(
        "/stylize?style=muse", {"files": {"image": plain(32, 32), "quality": (None, "80")}}, 422, "options in the query"
    ),
    "form without fields": Bad("/stylize?style=muse", multipart(b"--x--\r\n"), 422, "form is empty"),
    "many fields": Bad(
        "/stylize?style=muse", {"files": {f"{i}": (None, "") for i in range(99)}}, 400, "Too many fields"
    ),
    "multipart without boundary": Bad("/stylize?style=muse", raw(b"--x", "multipart/form-data"), 400, "boundary"),
    "malformed multipart": Bad("/stylize?style=muse", multipart(b"not at all multipart"), 400, "multipart"),
    "malformed part": Bad(
        "/stylize?style=muse", multipart(b"--x\r\nnonsense\r\n\r\nabc\r\n--x--\r\n"), 400, "multipart"
    ),
    "multipart cut short": Bad(
        "/stylize?style=muse", multipart(b'--x\r\nContent-Disposition: form-data; name="im'), 422, ""
    ),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_a_bad_request_is_refused_with_a_problem_and_the_server_goes_on(http: httpx.Client, case: Bad) -> None:
    document = problem_in(http.post(case.path, **case.body), case.status)
    assert re.search(case.says, document["detail"])
    assert picture_in(http.post("/stylize?style=muse", **GOOD)).size == (32, 32)


def test_too_many_bytes_are_refused_also_when_their_length_is_not_announced(http: httpx.Client) -> None:
    chunks = (bytes(MIB // 4) for _ in range(40))
    document = problem_in(http.post("/stylize?style=muse", content=chunks), 413)
    assert "1,048,576 bytes" in document["detail"]


def test_too_many_bytes_are_refused_before_they_are_sent_when_their_length_is_announced(server: str) -> None:
    url = httpx.URL(server)
    with socket.create_connection((url.host, url.port), timeout=30) as connection:
        head = "POST /stylize?style=muse HTTP/1.1\r\nHost: impasto\r\nContent-Type: image/png\r\n"
        connection.sendall(f"{head}Content-Length: {2 * MIB}\r\n\r\n".encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_as_many_bytes_as_the_limit_are_accepted(http: httpx.Client) -> None:
    padded = plain(32, 32)
    padded += bytes(MIB - len(padded))
    assert picture_in(http.post("/stylize?style=muse", content=padded)).size == (32, 32)


def test_problems_of_the_same_kind_have_the_same_type(http: httpx.Client) -> None:
    style = http.post("/stylize?style=nope", **GOOD).json()["type"]
    factor = http.post("/super-resolve?factor=3", **GOOD).json()["type"]
    option = http.post("/stylize", **GOOD).json()["type"]
    assert style == factor != option


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/stylize", 405),
        ("DELETE", "/models", 405),
        ("POST", "/livez", 405),
        ("GET", "/models/stylize/nope", 404),
        ("GET", "/models/sculpt/muse", 404),
        ("GET", "/models/stylize/muse@99", 404),
        ("GET", "/models/stylize/a@b@c", 404),
        ("GET", "/models/stylize/..%2f..", 404),
        ("GET", "/%ff%00%0d%0a", 404),
    ],
)
def test_an_unknown_path_or_method_is_answered_with_a_problem(
    http: httpx.Client, method: str, path: str, status: int
) -> None:
    problem_in(http.request(method, path), status)


def test_a_wrong_method_is_answered_with_the_allowed_one(http: httpx.Client) -> None:
    assert http.get("/stylize").headers["Allow"] == "POST"


@pytest.mark.parametrize("announced", [b"image/png", b"multipart/form-data; boundary=x"])
def test_a_client_that_disconnects_during_its_upload_does_no_harm(
    server: str, http: httpx.Client, announced: bytes
) -> None:
    url = httpx.URL(server)
    head = b"POST /stylize?style=muse HTTP/1.1\r\nHost: impasto\r\nContent-Length: 1000\r\nContent-Type: " + announced
    with socket.create_connection((url.host, url.port)) as connection:
        connection.sendall(head + b"\r\n\r\n--x\r\n")
    assert picture_in(http.post("/stylize?style=muse", **GOOD)).size == (32, 32)


def test_an_unknown_model_is_refused_with_the_known_models(http: httpx.Client) -> None:
    assert "known: candy" in problem_in(http.get("/models/stylize/nope"), 404)["detail"]


# Servers in trouble


def test_a_busy_server_says_when_to_try_again(slow_store: SlowStore, photo_png: bytes) -> None:
    with serve(Settings(device="cpu", max_in_flight=1), slow_store) as url, ThreadPoolExecutor(1) as thread:
        first = thread.submit(httpx.post, f"{url}/stylize?style=muse", content=photo_png, timeout=60)
        assert slow_store.entered.wait(30)
        second = httpx.post(f"{url}/stylize?style=muse", content=photo_png)
        alive = httpx.get(f"{url}/livez")
        slow_store.opened.set()
        picture_in(first.result())
        third = httpx.post(f"{url}/stylize?style=muse", content=photo_png, timeout=60)
    problem_in(second, 429)
    assert int(second.headers["Retry-After"]) >= 1
    assert alive.status_code == 200
    picture_in(third)


def test_damaged_weights_are_named(store: Store, publish: Publish, tmp_path: Path, photo_png: bytes) -> None:
    publish("stylize", "tiny")
    weights = tmp_path / "stylize" / "tiny" / "1" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    with serve(Settings(device="cpu"), store) as url:
        response = httpx.post(f"{url}/stylize?style=tiny", content=photo_png, timeout=60)
    assert "stylize/tiny@1" in problem_in(response, 500)["detail"]


def test_a_style_published_while_the_server_runs_is_served(store: Store, publish: Publish, photo_png: bytes) -> None:
    with serve(Settings(device="cpu"), store) as url:
        problem_in(httpx.post(f"{url}/stylize?style=tiny", content=photo_png), 404)
        publish("stylize", "tiny")
        picture_in(httpx.post(f"{url}/stylize?style=tiny", content=photo_png, timeout=60))


def test_an_internal_error_is_a_problem_that_does_not_reveal_its_details() -> None:
    class BrokenStore(Store):
        def cards(self) -> list[Card]:
            raise RuntimeError("the root's key is hunter2")

    with serve(Settings(device="cpu"), BrokenStore(BUNDLED)) as url:
        response = httpx.get(f"{url}/models", headers={"X-Request-ID": "job-7"})
        alive = httpx.get(f"{url}/livez")
    document = problem_in(response, 500)
    assert document["request_id"] == "job-7"
    assert "hunter2" not in response.text
    assert alive.status_code == 200
