"""The ways in which a picture comes to the page: picked, dropped, pasted or photographed."""

import base64
from typing import Any

import pytest

pytestmark = pytest.mark.browser

Desk = Any  # of conftest


def data_transfer(desk: Desk, content: bytes, name: str, media_type: str) -> Any:
    """Return the data of a drop or a paste, with one file."""
    script = """([data, name, type]) => {
        const transfer = new DataTransfer();
        const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
        transfer.items.add(new File([bytes], name, { type }));
        return transfer;
    }"""
    return desk.page.evaluate_handle(script, [base64.b64encode(content).decode(), name, media_type])


def test_the_empty_page_shows_the_preview_of_the_chosen_style(desk: Desk) -> None:
    assert desk.page.get_by_role("heading", name="Give it a photo").is_visible()
    assert desk.page.get_attribute("#taste", "src").endswith("/models/stylize/muse/preview")
    desk.choose("style", "candy")
    assert desk.page.get_attribute("#taste", "src").endswith("/models/stylize/candy/preview")


def test_a_picked_picture_is_painted(desk: Desk) -> None:
    with desk.page.expect_file_chooser() as chooser:
        desk.page.get_by_role("button", name="Choose a picture").click()
    chooser.value.set_files([{"name": "cup.png", "mimeType": "image/png", "buffer": desk.photo}])
    desk.wait()
    assert desk.page.get_attribute("#download", "download") == "cup-muse.png"


def test_a_dropped_picture_is_painted(desk: Desk, photo_png: bytes) -> None:
    transfer = data_transfer(desk, photo_png, "dropped.png", "image/png")
    desk.page.dispatch_event("#wall", "dragenter", {"dataTransfer": transfer})
    assert desk.page.get_by_text("Drop it").is_visible()
    desk.page.dispatch_event("#wall", "drop", {"dataTransfer": transfer})
    desk.wait()
    assert not desk.page.get_by_text("Drop it").is_visible()
    assert desk.page.get_attribute("#download", "download") == "dropped-muse.png"


def test_a_pasted_picture_is_painted(desk: Desk, photo_png: bytes) -> None:
    transfer = data_transfer(desk, photo_png, "image.png", "image/png")
    desk.page.evaluate(
        "(transfer) => dispatchEvent(new ClipboardEvent('paste', { clipboardData: transfer }))", transfer
    )
    desk.wait()
    assert desk.page.get_attribute("#download", "download") == "image-muse.png"


def test_a_photograph_is_painted(desk: Desk) -> None:
    # The camera of the test has more pixels than the server of the tests takes.
    desk.page.route("**/stylize?*", lambda route: route.fulfill(body=desk.photo, content_type="image/png"))
    desk.page.get_by_role("button", name="Take a photo").click()
    desk.until("document.getElementById('camera-video').videoWidth > 0")
    desk.page.get_by_role("button", name="Take it").click()
    desk.wait()
    assert desk.page.evaluate("document.getElementById('before').naturalWidth") > 100
    assert desk.page.evaluate("document.getElementById('camera-video').srcObject") is None


def test_a_page_that_may_not_use_the_camera_says_so(desk: Desk) -> None:
    desk.page.evaluate(
        "() => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotAllowedError')) }"
    )
    desk.page.get_by_role("button", name="Take a photo").click()
    desk.wait_for_text("#notice-detail", "allow it in the browser's settings")
    assert not desk.page.locator("#camera-dialog").is_visible()


def test_the_sample_picture_is_painted(desk: Desk) -> None:
    desk.page.get_by_role("button", name="Try the cat").click()
    desk.wait()
    assert "444 × 296" in desk.text("#fact-after")


def test_another_picture_takes_the_place_of_the_first(painted: Desk, plain_png: Any) -> None:
    painted.pick("other.png", plain_png(90, 64, 40))
    painted.wait_for_text("#fact-before", "64 × 40")
    assert painted.page.get_attribute("#download", "download") == "other-muse.png"


@pytest.mark.parametrize(
    ("content", "media_type", "said"),
    [(b"words", "text/plain", "not a picture in a format we take"), (b"\x89PNG", "image/png", "broken or cut short")],
)
def test_a_file_that_is_not_a_picture_is_refused_with_the_reason(
    desk: Desk, content: bytes, media_type: str, said: str
) -> None:
    desk.pick("file", content, media_type)
    desk.wait_for_text("#notice-detail", said)
