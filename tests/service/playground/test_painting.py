"""Painting a photo on the page of the playground."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.browser

Desk = Any  # of conftest


def answer_anything(desk: Desk) -> None:
    """Answer every request in place of the server, for tests that are about the requests alone."""
    desk.page.route("**/stylize?*", lambda route: route.fulfill(body=desk.photo, content_type="image/png"))


def test_the_styles_of_the_server_are_shown_with_their_previews(desk: Desk, http: httpx.Client) -> None:
    cards = [card for card in http.get("/models").json() if card["task"] == "stylize"]
    names = [card["name"] for card in cards if not card["light_of"]]
    assert desk.page.eval_on_selector_all("#styles input", "inputs => inputs.map(({ value }) => value)") == names
    desk.until("[...document.querySelectorAll('#styles img')].every((image) => image.naturalWidth)")


def test_the_downloaded_picture_is_what_the_server_makes(painted: Desk, http: httpx.Client) -> None:
    expected = http.post("/stylize?style=muse", content=painted.photo).content
    with painted.page.expect_download() as download:
        painted.page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "photo-muse.png"
    assert Path(download.value.path()).read_bytes() == expected


def test_choosing_another_style_paints_again(painted: Desk) -> None:
    assert painted.asked(lambda: painted.choose("style", "candy")) == {"path": "/stylize", "style": "candy"}
    painted.wait_for_text("#fact-model", "candy@1")
    assert "Candy" in painted.text("#description")


def test_a_painting_that_was_shown_before_is_not_requested_again(painted: Desk) -> None:
    painted.choose("style", "candy")
    painted.wait_for_text("#fact-model", "candy@1")
    asked: list[str] = []
    painted.page.on("request", lambda request: asked.append(request.method))
    painted.choose("style", "muse")
    painted.wait_for_text("#fact-model", "muse@1")
    assert "POST" not in asked


def test_two_styles_are_blended_by_their_shares(painted: Desk) -> None:
    assert not painted.page.locator("#share").is_visible()
    painted.choose("second", "candy")
    painted.wait_for_text("#fact-model", r"candy@1:0\.5, muse@1:0\.5")
    assert painted.text("#share-label") == "Share of Candy"
    assert painted.asked(lambda: painted.set("share", 0.2))["style"] == "muse:0.8,candy:0.2"
    painted.wait_for_text("#fact-model", r"muse@1:0\.8, candy@1:0\.2")
    painted.choose("second", "")
    painted.wait_for_text("#fact-model", r"muse@1$")


@pytest.mark.parametrize(
    ("change", "option"),
    [
        (lambda desk: desk.set("strength", 0.4), {"strength": "0.4"}),
        (lambda desk: desk.page.get_by_label("Keep the photo's colours").check(), {"preserve_color": "true"}),
        (lambda desk: desk.page.select_option("#size", "768"), {"size": "768"}),
        (lambda desk: desk.page.select_option("#stroke", "4"), {"stroke": "4"}),
        (lambda desk: desk.page.select_option("#format", "webp"), {"format": "webp"}),
    ],
)
def test_changed_options_are_sent(desk: Desk, change: Any, option: dict[str, str]) -> None:
    answer_anything(desk)
    assert desk.asked(desk.pick) == {"path": "/stylize", "style": "muse"}
    desk.wait()
    assert desk.asked(lambda: change(desk)) == {"path": "/stylize", "style": "muse"} | option


def test_a_style_that_has_a_light_net_can_be_painted_with_it(desk: Desk, http: httpx.Client) -> None:
    cards = http.get("/models").json()
    (muse,) = (card for card in cards if card["name"] == "muse")
    light = muse | {"name": "muse-light", "light_of": "muse@1"}
    desk.page.route("**/models", lambda route: route.fulfill(json=[*cards, light]))
    desk.page.reload()
    desk.page.locator("#styles label").first.wait_for()
    assert desk.page.locator("#styles input[value='muse-light']").count() == 0
    answer_anything(desk)
    desk.pick()
    desk.wait()
    box = desk.page.get_by_label("Light net")
    assert desk.asked(box.check) == {"path": "/stylize", "style": "muse", "light": "true"}
    desk.wait()
    assert desk.asked(lambda: desk.choose("style", "candy")) == {"path": "/stylize", "style": "candy"}
    assert not box.is_visible()


def test_a_newer_request_aborts_the_older_one(desk: Desk) -> None:
    desk.page.route("**/stylize?style=muse", lambda _: None)
    with desk.page.expect_event("requestfailed", lambda request: request.url.endswith("/stylize?style=muse")):
        desk.asked(desk.pick)
        desk.choose("style", "candy")
    desk.wait_for_text("#fact-model", "candy@1")


def test_progress_is_shown_and_can_be_cancelled(desk: Desk) -> None:
    desk.page.route("**/stylize?*", lambda _: None)
    desk.pick()
    desk.wait_for_text("#progress-text", "Uploading|Painting")
    with desk.page.expect_event("requestfailed", lambda request: "/stylize?" in request.url):
        desk.page.get_by_role("button", name="Cancel").click()
    assert not desk.page.locator("#progress").is_visible()


def test_the_answer_is_announced_to_screen_readers(painted: Desk) -> None:
    assert painted.text("#status") == "Done: muse@1"
    assert painted.page.get_by_role("img", name="Painted by muse@1").count() == 1


def test_model_sizes_and_the_time_of_each_stage_are_shown(painted: Desk) -> None:
    assert painted.text("#fact-model") == "muse@1"
    assert painted.text("#fact-before").startswith("48 × 32, ")
    assert painted.text("#fact-after").startswith("48 × 32, ")
    stages = [line.split()[0] for line in painted.page.locator("#timing-list li").all_inner_texts()]
    assert stages == ["decode", "wait", "net", "encode", "transfer"]
    assert painted.page.locator("#timing-bar span").count() == 5


def copied(desk: Desk, what: str) -> str:
    desk.page.evaluate("document.getElementById('code').open = true")
    desk.page.get_by_role("button", name=f"Copy as {what}").click()
    desk.page.get_by_role("button", name="Copied").wait_for()
    return str(desk.page.evaluate("navigator.clipboard.readText()"))


@pytest.mark.parametrize("what", ["curl", "Python"])
def test_the_request_can_be_copied_as_code_that_makes_the_same_picture(
    desk: Desk, http: httpx.Client, tmp_path: Path, what: str
) -> None:
    if what == "curl" and shutil.which("curl") is None:
        pytest.skip("needs curl")
    name = 'it\'s a "photo".png' if what == "Python" else "it's mine.png"
    desk.pick(name)
    desk.choose("second", "candy")
    desk.page.select_option("#format", "jpeg")
    desk.until("document.getElementById('download').download.endsWith('candy-0.5.jpg')")
    (tmp_path / name).write_bytes(desk.photo)
    code = copied(desk, what)
    subprocess.run(["bash", "-c", code] if what == "curl" else [sys.executable, "-c", code], cwd=tmp_path, check=True)
    [made] = tmp_path.glob("*candy*.jpg")
    options = {"style": "muse:0.5,candy:0.5", "format": "jpeg"}
    assert made.read_bytes() == http.post("/stylize", params=options, content=desk.photo).content


def test_code_can_be_copied_without_access_to_the_clipboard(painted: Desk) -> None:
    painted.page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    painted.page.evaluate("document.getElementById('code').open = true")
    painted.page.get_by_role("button", name="Copy as curl").click()
    painted.page.get_by_role("button", name="Copied").wait_for()
    assert painted.page.evaluate("getSelection().toString()").startswith("curl ")
