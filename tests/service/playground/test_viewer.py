"""The viewer of the page: the divider between before and after, zoom and pan."""

from typing import Any

import pytest

pytestmark = pytest.mark.browser

Desk = Any  # of conftest


def middle(box: dict[str, float]) -> tuple[float, float]:
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag(desk: Desk, x: float, y: float, to_x: float, to_y: float) -> None:
    desk.page.mouse.move(x, y)
    desk.page.mouse.down()
    desk.page.mouse.move(to_x, to_y, steps=4)
    desk.page.mouse.up()


@pytest.mark.parametrize(
    ("keys", "split"),
    [(["Home"], 0), (["End"], 100), (["Home", "ArrowRight"], 2), (["End", "ArrowLeft"], 98), (["Home", "PageUp"], 10)],
)
def test_keys_move_the_divider(painted: Desk, keys: list[str], split: int) -> None:
    divider = painted.page.get_by_role("slider", name="Before and after")
    for key in keys:
        divider.press(key)
    assert painted.split() == split
    assert divider.get_attribute("aria-valuetext") == f"{100 - split} % after"


def test_the_answer_is_shown_right_of_the_divider(painted: Desk) -> None:
    painted.page.locator("#divider").press("Home")
    everything = painted.page.screenshot(clip=painted.box("#before"))
    painted.page.locator("#divider").press("End")
    nothing = painted.page.screenshot(clip=painted.box("#before"))
    assert everything != nothing
    assert not painted.page.locator("#after-layer").is_visible()


def test_the_divider_is_dragged(painted: Desk) -> None:
    picture = painted.box("#before")
    x, y = middle(painted.box("#divider"))
    drag(painted, x, y, picture["x"] + picture["width"] * 0.75, y)
    assert painted.split() == pytest.approx(75, abs=1)
    assert middle(painted.box("#divider"))[0] == pytest.approx(picture["x"] + picture["width"] * 0.75, abs=2)


@pytest.mark.parametrize("screen", [{"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}])
def test_the_divider_follows_a_finger(painted: Desk) -> None:
    picture = painted.box("#before")
    painted.page.touchscreen.tap(picture["x"] + picture["width"] * 0.8, picture["y"] + picture["height"] * 0.5)
    painted.until("Math.abs(document.getElementById('divider').ariaValueNow - 80) <= 1")


def test_the_wheel_zooms_to_where_the_pointer_is(painted: Desk, plain_png: Any) -> None:
    painted.pick("large.png", plain_png(90, 300, 200))
    painted.wait()
    before = painted.box("#before")
    x, y = before["x"] + before["width"] * 0.25, before["y"] + before["height"] * 0.5
    painted.page.mouse.move(x, y)
    painted.page.mouse.wheel(0, -400)
    painted.until("document.getElementById('view').classList.contains('zoomed')")
    after = painted.box("#before")
    assert after["width"] > before["width"] * 2
    assert (x - after["x"]) / after["width"] == pytest.approx(0.25, abs=0.02)


def test_two_fingers_zoom(painted: Desk) -> None:
    width = painted.box("#before")["width"]
    x, y = middle(painted.box("#view"))
    touch = """([x, y]) => {
        const view = document.getElementById("view");
        view.setPointerCapture = () => {};
        const finger = (type, pointerId, clientX) => view.dispatchEvent(
            new PointerEvent(type, { pointerId, clientX, clientY: y, button: 0, bubbles: true, cancelable: true }));
        finger("pointerdown", 11, x - 50);
        finger("pointerdown", 12, x + 50);
        finger("pointermove", 11, x - 100);
        finger("pointermove", 12, x + 100);
        finger("pointerup", 11, x - 100);
        finger("pointerup", 12, x + 100);
    }"""
    painted.page.evaluate(touch, [x, y])
    assert painted.box("#before")["width"] == pytest.approx(width * 2, rel=0.01)


def test_keys_and_buttons_zoom_and_zero_shows_all(painted: Desk) -> None:
    width = painted.box("#before")["width"]
    painted.page.locator("#divider").press("+")
    assert painted.text("#zoom-fit") == "150 %"
    painted.page.get_by_role("button", name="Zoom in").click()
    painted.page.get_by_role("button", name="Zoom out").click()
    assert painted.box("#before")["width"] == pytest.approx(width * 1.5)
    painted.page.keyboard.press("0")
    assert painted.box("#before")["width"] == pytest.approx(width)


def test_a_zoomed_picture_is_panned_by_dragging_and_by_keys(painted: Desk) -> None:
    divider = painted.page.locator("#divider")
    for _ in range(5):
        divider.press("+")
    before, split = painted.box("#before"), painted.split()
    x, y = middle(painted.box("#view"))
    drag(painted, x + 200, y, x + 240, y + 30)
    after = painted.box("#before")
    assert (after["x"] - before["x"], after["y"] - before["y"]) == pytest.approx((40, 30))
    assert painted.split() == split
    divider.press("Shift+ArrowRight")
    assert painted.box("#before")["x"] == pytest.approx(after["x"] - 60)


def test_a_picture_cannot_be_panned_out_of_view(painted: Desk) -> None:
    divider = painted.page.locator("#divider")
    for _ in range(4):
        divider.press("+")
    for _ in range(60):
        divider.press("Shift+ArrowRight")
    picture, view = painted.box("#before"), painted.box("#view")
    assert picture["x"] + picture["width"] == pytest.approx(view["x"] + view["width"], abs=1)
