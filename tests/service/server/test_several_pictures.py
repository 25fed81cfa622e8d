"""Several pictures in one request."""

import email
import email.policy
import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from PIL import Image, ImageChops

from service.server.settings import Settings

from ...picture_files import plain_png
from ..serving import metric, serve, stylize, until
from ..stores import GatedStore


def post_all(
    client: httpx.Client, pictures: list[tuple[str, bytes]], path: str = "/stylize?style=muse", **headers: str
) -> httpx.Response:
    files = [("image", (name, data, "image/png")) for name, data in pictures]
    return client.post(path, files=files, headers=headers)


def files_in(response: httpx.Response) -> dict[str, bytes]:
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def assert_same(one: bytes, other: bytes) -> None:
    """Check that two pictures differ only by rounding, which depends on the number of cores that a picture had."""
    first, second = (Image.open(io.BytesIO(each)).convert("RGB") for each in (one, other))
    assert max(high for _, high in ImageChops.difference(first, second).getextrema()) <= 1


def test_several_pictures_are_answered_with_a_zip(http: httpx.Client, photo_png: bytes) -> None:
    response = post_all(http, [("cat.png", photo_png), ("dog.png", plain_png(9)), ("cat.png", plain_png(8))])
    files = files_in(response)
    assert list(files) == ["cat.png", "dog.png", "cat-2.png"]
    assert_same(files["cat.png"], http.post("/stylize?style=muse", content=photo_png).content)
    assert Image.open(io.BytesIO(files["cat-2.png"])).size == (20, 16)
    assert response.headers["X-Model"] == "muse@1"
    assert "net;dur=" in response.headers["Server-Timing"]


def test_several_pictures_are_answered_as_multipart_if_accept_asks_for_it(http: httpx.Client, photo_png: bytes) -> None:
    response = post_all(http, [("cat.png", photo_png), ("dog.png", plain_png(9))], Accept="multipart/mixed")
    head = f"Content-Type: {response.headers['Content-Type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + response.content, policy=email.policy.HTTP)
    parts = list(message.iter_parts())
    assert [part.get_filename() for part in parts] == ["cat.png", "dog.png"]
    alone = http.post("/stylize?style=muse", content=photo_png)
    assert_same(parts[0].get_payload(decode=True), alone.content)
    assert parts[0]["ETag"] == alone.headers["ETag"]


def test_a_bad_picture_does_not_lose_the_others(http: httpx.Client, photo_png: bytes) -> None:
    response = post_all(http, [("good.png", photo_png), ("bad.png", b"not a picture"), ("empty.png", b"")])
    files = files_in(response)
    assert list(files) == ["good.png", "bad.problem.json", "empty.problem.json"]
    document = json.loads(files["bad.problem.json"])
    assert (document["status"], document["type"]) == (415, "urn:impasto:problem:unsupported-format")
    assert document["request_id"] == response.headers["X-Request-ID"]
    assert "ETag" not in response.headers


def test_pictures_of_different_sizes_are_enlarged_to_one_size(http: httpx.Client) -> None:
    pictures = [(name, plain_png(9, width)) for name, width in (("small.png", 40), ("tiny.png", 16), ("vast.png", 99))]
    response = post_all(http, pictures, "/super-resolve?size=98")
    files = files_in(response)
    assert list(files) == ["small.png", "tiny.png", "vast.problem.json"]
    assert [Image.open(io.BytesIO(files[name])).width for name in ("small.png", "tiny.png")] == [98, 98]
    assert json.loads(files["vast.problem.json"])["status"] == 422
    assert [label.partition("@")[0] for label in response.headers["X-Model"].split(", ")] == ["x4-pixel", "x8-pixel"]


def test_a_client_that_has_all_of_the_pictures_is_answered_304(http: httpx.Client, photo_png: bytes) -> None:
    pictures = [("cat.png", photo_png), ("dog.png", plain_png(9))]
    known = post_all(http, pictures).headers["ETag"]
    assert post_all(http, pictures, **{"If-None-Match": known}).status_code == 304
    assert post_all(http, pictures[::-1], **{"If-None-Match": known}).status_code == 200


def test_a_request_with_an_unknown_style_is_refused_as_a_whole(http: httpx.Client, photo_png: bytes) -> None:
    response = http.post("/stylize?style=nope", files=[("image", ("a", photo_png)), ("image", ("b", photo_png))])
    assert response.status_code == 404


def test_each_picture_holds_a_place(gated_store: GatedStore) -> None:
    with (
        serve(Settings(device="cpu", max_in_flight=3), gated_store) as url,
        httpx.Client(base_url=url, timeout=60) as client,
        ThreadPoolExecutor(1) as thread,
    ):
        answer = thread.submit(post_all, client, [(f"{red}.png", plain_png(red)) for red in range(3)])
        assert until(lambda: metric(url, "impasto_requests_in_flight") == 3)
        refused = stylize(url, plain_png(9))
        gated_store.gate.opened.set()
        assert len(files_in(answer.result())) == 3
    assert refused.status_code == 429


@pytest.mark.parametrize("scarce", [{"max_in_flight": 1}, {"max_pixels_in_flight": 1}])
def test_pictures_that_find_no_room_wait_for_the_rest_of_their_request(
    gated_store: GatedStore, scarce: dict[str, int]
) -> None:
    gated_store.gate.opened.set()
    with serve(Settings(device="cpu", **scarce), gated_store) as url, httpx.Client(base_url=url, timeout=60) as client:
        files = files_in(post_all(client, [(f"{red}.png", plain_png(red)) for red in range(4)]))
    assert list(files) == [f"{red}.png" for red in range(4)]
    assert sorted(gated_store.gate.seen) == [0, 1, 2, 3]
