"""How a film ends that is not made to its end: by its client, by a failure, or by the death of its process."""

import logging
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from ...serving import metric, until
from ...stores import TurnstileStore
from ...video.films import pictures, write_film
from .filming import a_child, children, post, posted, serving

pytestmark = pytest.mark.process  # each film has one


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_film(tmp_path_factory.mktemp("films") / "film.mp4", pictures(40)).read_bytes()


def test_a_client_that_leaves_ends_the_film_and_frees_its_place(film: bytes) -> None:
    store = TurnstileStore()
    store.net.permits.release(5)
    with serving(store, max_videos_in_flight=1) as url:
        with posted(url, film) as answer:
            next(answer.iter_raw())
            child = a_child()
        assert until(lambda: metric(url, 'impasto_films_total{outcome="client left"') == 1)
        assert until(lambda: child not in children())
        store.net.permits.release(100)
        assert post(url, film).status_code == 200
    assert store.net.passed < 40 + 12  # the frames of the second film, and those that were on their way


def test_a_client_that_leaves_before_the_first_frame_ends_the_film_too(film: bytes) -> None:
    store = TurnstileStore()
    with serving(store) as url:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{url}/stylize?style=muse", content=film, timeout=httpx.Timeout(60, read=2))
        assert until(lambda: metric(url, 'impasto_films_total{outcome="client left"') == 1)
        assert until(lambda: not children())
        assert until(lambda: metric(url, "impasto_requests_in_flight") == 0)
        store.net.permits.release(100)


def test_a_failure_in_the_middle_breaks_the_answer_off(film: bytes, caplog: pytest.LogCaptureFixture) -> None:
    store = TurnstileStore()
    store.net.permits.release(100)
    store.net.most = 10
    with serving(store) as url, caplog.at_level(logging.WARNING):
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
            post(url, film)
        assert until(lambda: metric(url, 'impasto_films_total{outcome="broken off"') == 1)
        assert metric(url, 'impasto_problems_total{problem="internal-error"}') == 1
    assert "a film was broken off: the net failed" in caplog.text


def test_a_failure_before_the_first_piece_is_an_answer_of_its_own(film: bytes) -> None:
    store = TurnstileStore()
    store.net.permits.release(100)
    store.net.most = 0
    with serving(store) as url:
        assert post(url, film).status_code == 500


@pytest.mark.parametrize(
    ("signal_", "status", "says"),
    [(signal.SIGSEGV, 422, "crashes its decoder (SIGSEGV)"), (signal.SIGXCPU, 413, "takes more time")],
)
def test_a_process_that_dies_takes_only_its_film_along(
    film: bytes, photo_png: bytes, signal_: signal.Signals, status: int, says: str
) -> None:
    store = TurnstileStore()
    with serving(store) as url, ThreadPoolExecutor(1) as thread:
        answer = thread.submit(post, url, film)
        assert until(lambda: bool(children()))
        os.kill(a_child(), signal_)
        assert answer.result().status_code == status
        assert says in answer.result().json()["detail"]
        store.net.permits.release(100)
        assert post(url, photo_png).status_code == 200


def test_a_process_that_dies_in_the_middle_breaks_the_answer_off(film: bytes) -> None:
    store = TurnstileStore()
    store.net.permits.release(5)
    with serving(store) as url:
        with posted(url, film) as answer:
            os.kill(a_child(), signal.SIGKILL)
            with pytest.raises(httpx.RemoteProtocolError):
                answer.read()
        store.net.permits.release(100)
        assert post(url, film).status_code == 200


def test_a_first_frame_that_takes_too_long_is_answered_504(film: bytes) -> None:
    store = TurnstileStore()
    with serving(store) as url:
        answer = post(url, film, **{"X-Deadline-Ms": "1500"})
        store.net.permits.release(100)
        assert answer.status_code == 504


def test_a_later_frame_that_takes_too_long_breaks_the_answer_off(film: bytes) -> None:
    store = TurnstileStore()
    store.net.permits.release(5)
    with serving(store, deadline_s=8.0) as url:
        with pytest.raises(httpx.RemoteProtocolError):
            post(url, film)
        assert metric(url, 'impasto_problems_total{problem="deadline-exceeded"}') == 1
        store.net.permits.release(100)


def test_a_film_that_takes_longer_than_films_may_is_broken_off(film: bytes) -> None:
    store = TurnstileStore()
    store.net.permits.release(5)
    with serving(store, video_deadline_s=8.0) as url:
        with pytest.raises(httpx.RemoteProtocolError):
            post(url, film)
        store.net.permits.release(100)
