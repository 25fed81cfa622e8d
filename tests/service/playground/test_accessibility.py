"""The accessibility of the page: by keyboard and screen reader, in both themes, and on a phone."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

pytestmark = pytest.mark.browser

Desk = Any  # of conftest


class Look(NamedTuple):
    theme: str
    width: int
    height: int


LOOKS = [Look("light", 1280, 800), Look("dark", 1280, 800), Look("light", 360, 740), Look("dark", 360, 740)]


def nothing(desk: Desk) -> None:
    desk.page.locator("#empty").wait_for()


def paint(desk: Desk) -> None:
    desk.choose("second", "candy")
    desk.pick()
    desk.wait()
    desk.page.locator("#code summary").click()


def enlarge(desk: Desk) -> None:
    desk.choose("mode", "enlarge")
    desk.pick()
    desk.wait()


def fail(desk: Desk) -> None:
    desk.pick(content=b"words")
    desk.page.locator("#notice").wait_for()


def paint_live(desk: Desk) -> None:
    desk.choose("mode", "live")
    desk.page.get_by_role("button", name="Start the camera").click()
    desk.page.locator("#live-canvas").wait_for()


def photograph(desk: Desk) -> None:
    desk.page.get_by_role("button", name="Take a photo").click()
    desk.page.locator("#camera-dialog").wait_for()


STATES = [nothing, paint, enlarge, fail, paint_live, photograph]


@pytest.mark.parametrize("state", STATES)
def test_axe_finds_nothing_serious_and_nothing_overflows_the_page(desk: Desk, state: Callable[[Desk], None]) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs pip install 'impasto[browser]'")
    state(desk)
    for look in LOOKS:
        desk.page.emulate_media(color_scheme=look.theme, reduced_motion="reduce")
        desk.page.set_viewport_size({"width": look.width, "height": look.height})
        findings = axe.Axe().run(desk.page).response["violations"]
        told = [f"{each['impact']}: {each['id']} {[node['target'] for node in each['nodes']]}" for each in findings]
        assert not [line for line in told if line.startswith(("serious", "critical"))], look
        desk.until(f"document.documentElement.scrollWidth <= {look.width}")


def test_a_photo_is_painted_by_keyboard_alone(desk: Desk) -> None:
    keyboard = desk.page.keyboard

    def tab_to(is_there: str) -> None:
        for _ in range(40):
            keyboard.press("Tab")
            if desk.page.evaluate(f"document.activeElement.matches({is_there!r})"):
                return
        pytest.fail(f"no way to {is_there} by Tab")

    tab_to("#sample")
    keyboard.press("Enter")
    desk.wait()
    tab_to("input[name=style]")
    keyboard.press("ArrowRight")
    desk.wait_for_text("#fact-model", "rain-princess@1")
    tab_to("#strength")
    desk.page.route("**/stylize?*", lambda route: route.fulfill(body=desk.photo, content_type="image/png"))
    assert desk.asked(lambda: keyboard.press("ArrowLeft"))["strength"] == "0.95"


def test_the_focused_element_has_an_outline(painted: Desk) -> None:
    script = """() => {
        const focused = document.activeElement;
        const near = [focused, focused.closest("label"), ...focused.children].filter(Boolean);
        const isSeen = near.some((element) => getComputedStyle(element).outlineStyle !== "none");
        return isSeen || focused === document.body; // after the last element of the page the browser has the focus
    }"""
    for _ in range(25):
        painted.page.keyboard.press("Tab")
        focused = painted.page.evaluate("document.activeElement.outerHTML.slice(0, 80)")
        assert painted.page.evaluate(script), f"{focused} does not"


def test_the_theme_follows_the_system_until_it_is_chosen(desk: Desk) -> None:
    def background() -> str:
        return str(desk.page.evaluate("getComputedStyle(document.body).backgroundColor"))

    light = background()
    desk.page.emulate_media(color_scheme="dark")
    dark = background()
    assert light != dark
    desk.page.get_by_role("button", name="Dark theme", pressed=True).click()
    assert background() == light
    desk.page.reload()
    assert background() == light


def test_there_is_no_motion_if_the_system_asks_for_less(desk: Desk) -> None:
    def moving() -> int:
        script = (
            "[...document.querySelectorAll('*')].filter((e) => getComputedStyle(e).transitionDuration !== '0s').length"
        )
        return int(desk.page.evaluate(script))

    assert moving() > 0
    desk.page.emulate_media(reduced_motion="reduce")
    assert moving() == 0
