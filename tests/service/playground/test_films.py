"""Films on the page of the playground."""

from pathlib import Path
from typing import Any

import pytest

from ..server.films.filming import frames_in, serving
from ..serving import metric, until
from ..stores import TurnstileStore
from ..video.films import pictures, write_film

pytestmark = pytest.mark.browser

Desk = Any  # of conftest


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_film(tmp_path_factory.mktemp("films") / "film.mp4", pictures(50), sound=True).read_bytes()


def pick(desk: Desk, film: bytes, name: str = "film.mp4") -> None:
    desk.pick(name, film, "video/mp4")


def both(what: str) -> str:
    """Return JavaScript that is true where something holds for both films."""
    return f"['before-film', 'after-film'].every((id) => document.getElementById(id).{what})"


def test_a_film_is_painted_and_can_be_downloaded(desk: Desk, film: bytes) -> None:
    asked = desk.asked(lambda: pick(desk, film))
    desk.wait()
    assert asked == {"path": "/stylize", "style": "muse"}
    assert desk.text("#fact-after").startswith("64 × 48, ")
    assert desk.page.get_by_label("Painted by muse@1").count() == 1
    with desk.page.expect_download() as download:
        desk.page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "film-muse.mp4"
    assert len(frames_in(Path(download.value.path()).read_bytes())) == 50


def test_a_film_plays_while_it_is_made(desk: Desk, film: bytes) -> None:
    store = TurnstileStore()
    store.net.permits.release(25)
    with serving(store) as url:
        desk.page.goto(url)
        desk.page.locator("#styles label").first.wait_for()
        pick(desk, film)
        desk.until("document.getElementById('after-film').currentTime > 0.2")
        assert store.net.passed < 50
        assert desk.page.locator("#progress").is_visible()
        store.net.permits.release(100)
        desk.wait()
        assert desk.page.evaluate("document.getElementById('after-film').duration") == pytest.approx(2, abs=0.1)


def test_both_films_play_in_step(desk: Desk, film: bytes) -> None:
    pick(desk, film)
    desk.wait()
    desk.until(both("currentTime > 0.5"))
    apart = "document.getElementById('before-film').currentTime - document.getElementById('after-film').currentTime"
    desk.until(f"Math.abs({apart}) < 0.1")
    desk.page.get_by_role("button", name="Pause").click()
    desk.until(both("paused"))
    desk.page.locator("#film-time").fill("1.2")
    desk.until(both("currentTime === 1.2"))
    desk.page.get_by_role("button", name="Play").click()
    desk.until(f"!({both('paused')})")


def test_a_film_that_breaks_off_is_told(desk: Desk, film: bytes) -> None:
    store = TurnstileStore()
    store.net.permits.release(100)
    store.net.most = 20
    with serving(store) as url:
        desk.page.goto(url)
        desk.page.locator("#styles label").first.wait_for()
        pick(desk, film)
        desk.wait_for_text("#notice-title", "The film broke off")


def test_cancelling_has_the_server_stop(desk: Desk, film: bytes) -> None:
    store = TurnstileStore()
    store.net.permits.release(10)
    with serving(store) as url:
        desk.page.goto(url)
        desk.page.locator("#styles label").first.wait_for()
        pick(desk, film)
        desk.page.locator("#reel").wait_for()
        desk.page.get_by_role("button", name="Cancel").click()
        assert until(lambda: metric(url, 'impasto_films_total{outcome="client left"') == 1)
        store.net.permits.release(100)


def test_a_picture_after_a_film_is_shown_as_a_picture(desk: Desk, film: bytes) -> None:
    pick(desk, film)
    desk.wait()
    desk.pick()
    desk.wait_for_text("#fact-before", "48 × 32")
    assert not desk.page.locator("#reel").is_visible()
    assert desk.page.get_by_role("img", name="Painted by muse@1").count() == 1


def test_a_bad_film_is_told_in_the_words_of_the_server(desk: Desk, film: bytes) -> None:
    pick(desk, film[:3000])
    desk.wait_for_text("#notice-detail", "the film is cut short")


def test_the_code_for_a_film_is_that_of_films(desk: Desk, film: bytes) -> None:
    pick(desk, film)
    desk.wait()
    assert 'client.stylize_video("film.mp4", style="muse")' in desk.page.text_content("#python")
