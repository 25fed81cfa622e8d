"""Live painting on the page of the playground, with Chromium's fake camera."""

from typing import Any

import pytest

from model_store.store import BUNDLED, Store
from service.server.settings import Settings

pytestmark = pytest.mark.browser

Desk = Any  # of conftest


def start(desk: Desk) -> None:
    desk.choose("mode", "live")
    desk.page.get_by_role("button", name="Start the camera").click()
    desk.page.get_by_role("button", name="Stop").wait_for()


def test_the_camera_is_painted_at_the_size_asked_for(desk: Desk) -> None:
    start(desk)
    desk.until("document.getElementById('live-canvas').width === 256")
    desk.choose("live_size", "384")
    desk.until("document.getElementById('live-canvas').width === 384")


def test_frames_per_second_latency_and_model_are_shown(desk: Desk) -> None:
    start(desk)
    desk.wait_for_text("#live-fps", r"^\d+\.\d$")
    desk.wait_for_text("#live-latency", r"\d (ms|s)$")
    desk.wait_for_text("#live-model", "muse@1")
    desk.wait_for_text("#live-dropped", r"^\d+$")


def test_the_style_can_be_changed_during_live_painting(desk: Desk) -> None:
    start(desk)
    desk.wait_for_text("#live-model", "muse@1")
    desk.choose("style", "candy")
    desk.wait_for_text("#live-model", "candy@1")
    desk.choose("second", "muse")
    desk.wait_for_text("#live-model", r"candy@1:0\.5, muse@1:0\.5")


def test_stopping_turns_the_camera_off(desk: Desk) -> None:
    with desk.page.expect_websocket() as opened:
        start(desk)
    with opened.value.expect_event("close"):
        desk.page.get_by_role("button", name="Stop").click()
    assert desk.page.evaluate("document.getElementById('live-camera').srcObject") is None
    assert desk.page.get_by_role("button", name="Start the camera").is_visible()
    assert not desk.page.locator("#notice").is_visible()


def test_leaving_the_mode_turns_the_camera_off(desk: Desk) -> None:
    start(desk)
    desk.choose("mode", "paint")
    assert desk.page.evaluate("document.getElementById('live-camera').srcObject") is None


@pytest.mark.parametrize(
    ("error", "said"),
    [("NotFoundError", "connect one"), ("NotAllowedError", "allow it"), ("NotReadableError", "close that")],
)
def test_a_camera_that_cannot_be_used_is_explained(desk: Desk, error: str, said: str) -> None:
    reject = f"() => Promise.reject(new DOMException('', '{error}'))"
    desk.page.evaluate(f"() => {{ navigator.mediaDevices.getUserMedia = {reject} }}")
    desk.choose("mode", "live")
    desk.page.get_by_role("button", name="Start the camera").click()
    desk.wait_for_text("#notice-detail", said)


def test_an_insecure_page_says_where_cameras_work(desk: Desk) -> None:
    desk.page.evaluate("() => { Object.defineProperty(navigator, 'mediaDevices', { value: undefined }) }")
    desk.choose("mode", "live")
    desk.page.get_by_role("button", name="Start the camera").click()
    desk.wait_for_text("#notice-detail", "https://")


def test_a_stopping_server_is_shown_as_a_problem_and_turns_the_camera_off(desk: Desk, serve: Any) -> None:
    with serve(Settings(device="cpu"), Store(BUNDLED)) as url:
        desk.page.goto(url)
        desk.page.locator("#styles label").first.wait_for()
        start(desk)
        desk.until("document.getElementById('live-canvas').width === 256")
    desk.wait_for_text("#notice-title", "The server is stopping")
    assert desk.page.evaluate("document.getElementById('live-camera').srcObject") is None
