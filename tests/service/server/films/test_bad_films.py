"""What is no film, no good one, or too much of one: each has a problem of its own, in a sentence."""

import http.client
import importlib.util
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from model_store.store import BUNDLED, Store

from ...serving import has_a_place
from ...video.films import pictures, write_film
from ...video.test_source import noise, without_pictures
from .filming import post, serving

pytestmark = pytest.mark.process  # each film has one

Make = Callable[[Path], Path]


def good(folder: Path) -> Path:
    return write_film(folder / "film.mp4", pictures(10), sound=True)


def cut(folder: Path) -> Path:
    film = write_film(folder / "film.mp4", noise(20))
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    return film


def cut_after_its_index(folder: Path) -> Path:
    film = write_film(folder / "film.mp4", noise(100), container={"movflags": "faststart"})
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    return film


def cut_without_an_index(folder: Path) -> Path:
    film = write_film(folder / "film.mkv", noise(100))
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    return film


def sound_alone(folder: Path) -> Path:
    return without_pictures(good(folder))


def huge(folder: Path) -> Path:
    film = write_film(folder / "film.avi", pictures(2), codec="mjpeg", pixel_format="yuvj420p")
    claim = (65_500).to_bytes(2, "big") * 2
    content = film.read_bytes().replace(b"\x08" + (48).to_bytes(2, "big") + (64).to_bytes(2, "big"), b"\x08" + claim)
    film.write_bytes(content)
    return film


def an_hour(folder: Path) -> Path:
    return write_film(folder / "film.mp4", pictures(4), [0, 12800 * 1200, 12800 * 2400, 12800 * 3000, 12800 * 3600])


def of_changing_size(folder: Path) -> Path:
    parts = [write_film(folder / f"{side}.ts", pictures(10, side, side)) for side in (64, 96)]
    film = folder / "film.ts"
    film.write_bytes(b"".join(part.read_bytes() for part in parts))
    return film


def encrypted(folder: Path) -> Path:
    scheme = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "0f" * 16, "encryption_kid": "1e" * 16}
    return write_film(folder / "film.mp4", pictures(10), container=scheme)


def of_a_rare_codec(folder: Path) -> Path:
    return write_film(folder / "film.avi", pictures(2), codec="ffv1")


BAD: dict[Make, tuple[int, str, str]] = {
    cut: (422, "bad-film", "the film is cut short"),
    cut_after_its_index: (422, "bad-film", "the film is cut short"),
    sound_alone: (422, "bad-film", "there is no film in this file, only sound"),
    huge: (422, "bad-film", "no frame of the film can be decoded"),
    an_hour: (413, "too-large", "the film is 3,600 s long, and this server takes up to 300 s"),
    encrypted: (422, "bad-film", "the film is encrypted"),
    of_a_rare_codec: (422, "bad-film", "the film is in a codec that is not decoded here"),
}


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_a_bad_film_is_answered_by_its_problem(server: str, tmp_path: Path, make: Make) -> None:
    status, name, sentence = BAD[make]
    answer = post(server, make(tmp_path).read_bytes())
    assert answer.status_code == status, answer.text
    document = answer.json()
    assert document["type"] == f"urn:impasto:problem:{name}"
    assert sentence in document["detail"]
    assert has_a_place(server)


@pytest.mark.parametrize("make", [of_changing_size, cut_without_an_index], ids=lambda make: make.__name__)
def test_what_is_seen_to_be_bad_only_in_the_middle_breaks_the_answer_off(
    server: str, tmp_path: Path, make: Make
) -> None:
    film = make(tmp_path).read_bytes()
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
        post(server, film)


def test_a_film_that_lies_about_its_length_is_broken_off(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mkv", pictures(40)).read_bytes()
    length, lie = (struct.pack(">d", milliseconds) for milliseconds in (1600, 160))
    assert length in film
    with serving(Store(BUNDLED), max_video_seconds=0.5) as url:
        assert post(url, film).status_code == 413
        with pytest.raises(httpx.RemoteProtocolError):
            post(url, film.replace(length, lie))


@pytest.mark.parametrize(
    ("limit", "query", "sentence"),
    [
        ({"max_video_pixels": 3000}, "style=muse", "the film has 64×48 pixels"),
        ({"max_video_pixels": 4000}, "style=muse&size=96", "the film would have 96×72 pixels"),
        ({"max_video_bytes": 2000}, "style=muse", "more than the 2,000 bytes that this server takes: make the film"),
    ],
)
def test_a_film_beyond_a_limit_is_refused(tmp_path: Path, limit: dict[str, int], query: str, sentence: str) -> None:
    film = good(tmp_path).read_bytes()
    with serving(Store(BUNDLED), max_upload_bytes=1000, **limit) as url:
        answer = post(url, film, query=query)
        chunked = httpx.post(f"{url}/stylize?{query}", content=iter([film[:1500], film[1500:]]), timeout=60)
    assert (answer.status_code, chunked.status_code) == (413, 413)
    assert sentence in answer.json()["detail"]
    assert sentence in chunked.json()["detail"]


def test_films_may_have_more_bytes_than_pictures(tmp_path: Path) -> None:
    film = good(tmp_path).read_bytes()
    with serving(Store(BUNDLED), max_upload_bytes=1000) as url:
        assert post(url, film).status_code == 200
        picture = httpx.post(f"{url}/stylize?style=muse", files={"image": b"\x89PNG" + bytes(len(film))}, timeout=60)
    assert picture.status_code == 413
    assert "more than the 1,000 bytes" in picture.json()["detail"]


def test_a_form_with_more_than_the_film_is_refused(server: str, tmp_path: Path) -> None:
    film = good(tmp_path).read_bytes()
    answer = httpx.post(f"{server}/stylize?style=muse", files=[("image", film), ("image", film)], timeout=60)
    assert answer.status_code == 400
    assert "more than one film" in answer.json()["detail"]


def test_a_film_in_another_field_is_refused(server: str, tmp_path: Path) -> None:
    answer = httpx.post(f"{server}/stylize?style=muse", files={"video": good(tmp_path).read_bytes()}, timeout=60)
    assert answer.status_code == 422
    assert "no form field 'video'" in answer.json()["detail"]


@pytest.mark.parametrize(("query", "status"), [("style=nope", 404), ("style=muse&format=png", 422)])
def test_options_that_do_not_hold_for_the_film_are_refused(
    server: str, tmp_path: Path, query: str, status: int
) -> None:
    assert post(server, good(tmp_path).read_bytes(), query=query).status_code == status


def test_an_upload_that_does_not_end_is_refused_in_time(tmp_path: Path) -> None:
    film = good(tmp_path).read_bytes()
    with serving(Store(BUNDLED), max_video_bytes=1_000_000, max_upload_bytes=1_000_000, upload_timeout_s=0.3) as url:

        def slowly() -> Iterator[bytes]:
            yield film[:2000]
            time.sleep(1)
            yield film[2000:]

        answer = httpx.post(f"{url}/stylize?style=muse", content=slowly(), timeout=60)
    assert answer.status_code == 408


def test_http_of_old_which_cannot_tell_the_end_of_a_film_is_refused(server: str, tmp_path: Path) -> None:
    url = httpx.URL(server)
    connection = http.client.HTTPConnection(url.host, url.port or 80, timeout=30)
    connection._http_vsn, connection._http_vsn_str = 10, "HTTP/1.0"  # type: ignore[attr-defined]
    connection.request("POST", "/stylize?style=muse", good(tmp_path).read_bytes())
    answer = connection.getresponse()
    assert answer.status == 505
    assert b"HTTP/1.1" in answer.read()


def test_a_server_without_ffmpeg_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = good(tmp_path).read_bytes()
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "av" else find(name))
    with serving(Store(BUNDLED)) as url:
        answer = post(url, film)
    assert answer.status_code == 415
    assert "impasto[video]" in answer.json()["detail"]
