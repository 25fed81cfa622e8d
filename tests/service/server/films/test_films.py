"""A film in, the painted film out, while it is made."""

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import av
import httpx
import numpy as np
import pytest

from model_store.store import BUNDLED, Store

from ...serving import metric, until
from ...stores import TurnstileStore
from ...video.films import frames_of, pictures, tracks_of, write_film
from .filming import children, frames_in, open_files, post, posted, serving

pytestmark = pytest.mark.process  # each film has one


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_film(tmp_path_factory.mktemp("films") / "film.mp4", pictures(30), sound=True)


def test_a_film_comes_back_painted_with_its_sound_and_its_times(server: str, film: Path, tmp_path: Path) -> None:
    answer = post(server, film.read_bytes())
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "video/mp4"
    assert answer.headers["X-Model"] == "muse@1"
    assert "ETag" not in answer.headers
    painted = tmp_path / "painted.mp4"
    painted.write_bytes(answer.content)
    before, after = ({track.kind: track for track in tracks_of(path)} for path in (film, painted))
    assert after["video"].times == before["video"].times
    # The first packet of the sound is before time 0, for its decoder to begin with.
    assert before["audio"].times[0] < 0
    assert after["audio"].times == before["audio"].times[1:]
    assert after["audio"].packets == before["audio"].packets[1:]
    differences = [
        np.abs(each.to_ndarray(format="rgb24").astype(int) - other.to_ndarray(format="rgb24")).mean()
        for each, other in zip(frames_of(film), frames_of(painted), strict=True)
    ]
    assert min(differences) > 10


@pytest.mark.parametrize("content_type", ["video/mp4", "application/octet-stream", ""])
def test_a_film_may_be_the_body_itself(server: str, film: Path, content_type: str) -> None:
    answer = httpx.post(
        f"{server}/super-resolve?factor=2",
        content=film.read_bytes(),
        headers={"Content-Type": content_type},
        timeout=60,
    )
    assert answer.status_code == 200
    frames = frames_in(answer.content)
    assert len(frames) == 30
    assert (frames[0].width, frames[0].height) == (128, 96)


@pytest.mark.parametrize("name", ["film.mov", "film.mkv", "film.avi", "film.ts", "film.webm"])
def test_a_film_is_known_by_its_bytes_in_every_kind_of_file(server: str, tmp_path: Path, name: str) -> None:
    film = write_film(tmp_path / name, pictures(5), codec="libvpx-vp9" if name == "film.webm" else "libx264")
    answer = post(server, film.read_bytes())
    assert answer.status_code == 200, answer.text
    assert len(frames_in(answer.content)) == 5


def test_the_options_of_pictures_hold_for_frames(server: str, film: Path) -> None:
    answer = post(server, film.read_bytes(), query="style=muse&size=32&strength=0")
    first = frames_in(answer.content)[0]
    assert (first.width, first.height) == (32, 24)
    source = frames_of(film)[0].reformat(32, 24, "rgb24").to_ndarray()
    assert np.abs(first.to_ndarray(format="rgb24").astype(int) - source).mean() < 4


def test_metadata_is_kept_without_the_place_unless_all_is_asked_for(server: str, tmp_path: Path) -> None:
    metadata = {"title": "A walk", "location": "+48.8-002.3/"}
    film = write_film(
        tmp_path / "film.mp4", pictures(3), metadata=metadata, container={"movflags": "use_metadata_tags"}
    )
    answer = post(server, film.read_bytes())
    (tmp_path / "painted.mp4").write_bytes(answer.content)
    with av.open(str(tmp_path / "painted.mp4")) as painted:
        assert painted.metadata["title"] == "A walk"
        assert "location" not in painted.metadata


def test_what_a_film_loses_is_told(server: str, tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4", pictures(3, 65, 48), pixel_format="yuv444p10le")
    answer = post(server, film.read_bytes())
    assert answer.headers["X-Notes"] == (
        "its 10 bits a channel became 8; a film's sides are even numbers: 65x48 became 64x48"
    )


def test_a_picture_that_is_named_like_a_film_is_painted_as_a_picture(server: str, photo_png: bytes) -> None:
    answer = post(server, photo_png)
    assert answer.headers["Content-Type"] == "image/png"


# While it is made


def test_the_film_comes_while_it_is_made(film: Path) -> None:
    store = TurnstileStore()
    store.net.permits.release(1)
    with serving(store) as url, posted(url, film.read_bytes()) as answer:
        pieces = answer.iter_bytes()
        beginning = next(pieces)
        assert (beginning[4:8], store.net.passed) == (b"ftyp", 1)
        store.net.permits.release(100)
        rest = b"".join(pieces)
    assert len(frames_in(beginning + rest)) == 30


def test_a_picture_goes_in_between_the_frames_of_a_film(film: Path, photo_png: bytes) -> None:
    store = TurnstileStore()
    store.net.permits.release(1)
    with serving(store) as url, posted(url, film.read_bytes()) as answer, ThreadPoolExecutor(1) as thread:
        picture = thread.submit(post, url, photo_png)
        for _ in range(20):
            if picture.done():
                break
            store.net.permits.release(1)
            time.sleep(0.05)
        assert picture.result().status_code == 200
        passed = store.net.passed
        store.net.permits.release(100)
        assert len(frames_in(answer.read())) == 30
    assert passed < 15


def test_more_films_than_are_made_at_once_are_refused_before_they_are_uploaded(film: Path) -> None:
    store = TurnstileStore()
    store.net.permits.release(1)
    with serving(store, max_videos_in_flight=1) as url, posted(url, film.read_bytes()) as answer:
        refused = post(url, film.read_bytes())
        store.net.permits.release(100)
        answer.read()
        accepted = post(url, film.read_bytes())
        shed = metric(url, 'impasto_requests_shed_total{reason="films"}')
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "30")
    assert "as many films are being made as this server makes at once (1)" in refused.json()["detail"]
    assert accepted.status_code == 200
    assert shed == 1


def test_metrics_count_frames_and_films(film: Path) -> None:
    with serving(Store(BUNDLED)) as url:
        post(url, film.read_bytes())
        assert metric(url, 'impasto_film_frames_total{task="stylize"}') == 30
        assert metric(url, 'impasto_films_total{outcome="whole",task="stylize"}') == 1
        assert metric(url, "impasto_requests_in_flight") == 0


def test_nothing_is_left_of_a_film(server: str, film: Path) -> None:
    post(server, film.read_bytes())
    assert until(lambda: not children())
    before = open_files()
    for _ in range(3):
        post(server, film.read_bytes())
    assert until(lambda: not children() and open_files() <= before)


def test_a_film_in_a_style_is_calm(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    still = pictures(1, 96, 64)[0].astype(int)
    noisy = [np.clip(still + generator.normal(0, 3, still.shape), 0, 255).astype(np.uint8) for _ in range(8)]
    film = write_film(tmp_path / "film.mp4", noisy, options={"crf": "5"}).read_bytes()

    def unrest() -> float:
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in frames_in(post(server, film).content)]
        return float(np.mean([np.abs(after - before).mean() for before, after in pairwise(frames)]))

    calm = unrest()
    monkeypatch.setattr("service.server.films.answer.DEFAULT_TEMPORAL", 0)
    restless = unrest()
    assert calm < 0.7 * restless
