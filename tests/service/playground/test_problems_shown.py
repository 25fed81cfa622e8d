"""The notices of the page when something goes wrong."""

import json
from typing import Any

import pytest

from ...picture_files import plain_png

pytestmark = pytest.mark.browser

Desk = Any  # of conftest


def refuse_once(desk: Desk, status: int, detail: str, retry_after: int | None = None) -> None:
    """Answer the next request with a problem in place of the server, whose load a test cannot choose."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    document = json.dumps({"type": "about:blank", "title": "Busy", "status": status, "detail": detail})
    answer = {"status": status, "headers": headers, "content_type": "application/problem+json", "body": document}
    desk.page.route("**/stylize?*", lambda route: route.fulfill(**answer), times=1)


def test_a_problem_is_shown_in_the_words_of_the_server(desk: Desk) -> None:
    desk.pick(content=plain_png(90, 600, 400))
    alert = desk.page.get_by_role("alert")
    alert.filter(has_text="this server makes up to 140,000 in all").wait_for()
    assert "Too large" in alert.inner_text()
    desk.page.get_by_role("button", name="Close").click()
    assert not desk.page.locator("#notice").is_visible()


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_after_the_time_it_says(desk: Desk, status: int) -> None:
    desk.page.evaluate(
        """() => {
            const countdown = document.getElementById("notice-countdown");
            window.counted = [];
            new MutationObserver(() => counted.push(countdown.textContent)).observe(countdown, { childList: true });
        }"""
    )
    refuse_once(desk, status, "try again in 2 s", retry_after=2)
    desk.pick()
    desk.wait()
    assert desk.page.evaluate("counted") == ["Trying again in 2 s", "Trying again in 1 s", ""]
    assert not desk.page.locator("#notice").is_visible()


def test_a_visitor_can_try_again_before_the_countdown_ends(desk: Desk) -> None:
    refuse_once(desk, 429, "try again in 60 s", retry_after=60)
    desk.pick()
    desk.wait_for_text("#notice-countdown", "Trying again in ")
    desk.page.get_by_role("button", name="Try again").click()
    desk.wait()


def test_a_server_that_cannot_be_reached_is_shown_as_a_problem(desk: Desk) -> None:
    desk.page.route("**/stylize?*", lambda route: route.abort())
    desk.pick()
    desk.wait_for_text("#notice-detail", "cannot be reached")


def test_a_failed_request_for_the_models_can_be_repeated(context: Any) -> None:
    page = context.new_page()
    page.route("**/models", lambda route: route.abort(), times=1)
    page.goto("/")
    page.get_by_role("button", name="Try again").click()
    page.locator("#styles label").first.wait_for()


def test_a_new_request_hides_the_problem_of_the_last(desk: Desk) -> None:
    refuse_once(desk, 429, "busy", retry_after=60)
    desk.pick()
    desk.wait_for_text("#notice-detail", "busy")
    desk.choose("style", "candy")
    desk.wait()
    assert not desk.page.locator("#notice").is_visible()
