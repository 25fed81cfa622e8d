"""Enlarging a picture on the page of the playground."""

from typing import Any

import pytest

from ...picture_files import plain_png

pytestmark = pytest.mark.browser

Desk = Any  # of conftest


@pytest.fixture
def enlarged(desk: Desk) -> Desk:
    """Open the page and enlarge a picture."""
    desk.choose("mode", "enlarge")
    desk.pick()
    desk.wait()
    return desk


def test_a_picture_is_enlarged_four_times_unless_another_scale_is_chosen(enlarged: Desk) -> None:
    assert enlarged.text("#fact-model") == "x4-pixel@2"
    assert enlarged.text("#fact-after").startswith("192 × 128, ")
    assert enlarged.page.get_attribute("#download", "download") == "photo-x4.png"
    assert enlarged.asked(lambda: enlarged.choose("scale", "8")) == {"path": "/super-resolve", "scale": "8"}
    enlarged.wait_for_text("#fact-after", "384 × 256")
    assert enlarged.asked(lambda: enlarged.choose("scale", "1.5")) == {"path": "/super-resolve", "scale": "1.5"}
    enlarged.wait_for_text("#fact-after", "72 × 48")
    assert enlarged.page.get_attribute("#download", "download") == "photo-x1.5.png"


def test_the_dial_of_fidelity_asks_for_a_sharper_picture(enlarged: Desk) -> None:
    assert enlarged.asked(lambda: enlarged.set("fidelity", 0.25))["fidelity"] == "0.25"
    enlarged.wait_for_text("#fact-model", "x4-feature@1:0.75, x4-pixel@2:0.25")
    assert enlarged.text("#fidelity-output") == "25 %"


def test_a_blurred_picture_gets_its_own_net_and_no_fidelity(enlarged: Desk) -> None:
    enlarged.page.get_by_label("The picture is soft").check()
    enlarged.wait_for_text("#fact-model", "x4-pixel-blurred@1")
    assert enlarged.page.get_by_label("Fidelity").is_disabled()


@pytest.mark.parametrize(("label", "option"), [("Match its colours", "match_histogram"), ("Mean of", "self_ensemble")])
def test_checked_options_are_sent(enlarged: Desk, label: str, option: str) -> None:
    asked = enlarged.asked(lambda: enlarged.page.get_by_label(label).check())
    assert asked == {"path": "/super-resolve", "scale": "4", option: "true"}
    enlarged.wait()
    assert not enlarged.page.locator("#notice").is_visible()


def test_a_picture_can_be_painted_then_enlarged(painted: Desk) -> None:
    assert painted.asked(lambda: painted.choose("mode", "enlarge"))["path"] == "/super-resolve"
    painted.wait_for_text("#fact-after", "192 × 128")
    assert not painted.page.locator("#styles").is_visible()
    painted.choose("mode", "paint")
    painted.wait_for_text("#fact-model", "muse@1")


def test_both_pictures_are_shown_in_the_same_size_and_place(enlarged: Desk) -> None:
    assert enlarged.page.evaluate("document.getElementById('after').naturalWidth") == 192
    assert enlarged.box("#before") == pytest.approx(enlarged.box("#after"))
    enlarged.page.locator("#divider").press("+")
    assert enlarged.box("#before") == pytest.approx(enlarged.box("#after"))


def test_an_enlargement_that_would_be_too_large_is_shown_as_a_problem(desk: Desk) -> None:
    desk.choose("mode", "enlarge")
    desk.pick(content=plain_png(90, 300, 200))
    desk.wait_for_text("#notice-detail", "1,200×800")
