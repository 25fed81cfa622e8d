"""Fixtures of the playground's tests: Chromium, and the page of a server in it."""

import re
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
]
TWO_FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


class Desk:
    """The page, with the actions of a visitor."""

    def __init__(self, page: Any, photo: bytes) -> None:
        self.page = page
        self.photo = photo

    def pick(self, name: str = "photo.png", content: bytes | None = None, media_type: str = "image/png") -> None:
        """Pick a picture file."""
        file = {"name": name, "mimeType": media_type, "buffer": self.photo if content is None else content}
        self.page.set_input_files("#file", files=[file])

    def choose(self, group: str, value: str) -> None:
        """Choose a radio button of a group."""
        self.page.locator(f"label:has(input[name={group}][value='{value}'])").click()

    def set(self, dial: str, value: float) -> None:
        self.page.locator(f"input[name={dial}]").fill(str(value))

    def asked(self, action: Callable[[], object]) -> dict[str, str]:
        """Return the path and the parameters of the request that an action sends."""
        with self.page.expect_request(lambda request: request.method == "POST") as sent:
            action()
        address = urlsplit(sent.value.url)
        return {"path": address.path} | {name: value for name, [value] in parse_qs(address.query).items()}

    def wait(self) -> None:
        """Wait until an answer is shown in its final place; the facts below it first make the view smaller."""
        self.page.locator("#view.both").wait_for()
        self.page.locator("#progress").wait_for(state="hidden")
        self.page.locator("#facts").wait_for()
        self.page.evaluate(TWO_FRAMES)

    def text(self, selector: str) -> str:
        return str(self.page.locator(selector).inner_text())

    def wait_for_text(self, selector: str, text: str) -> None:
        self.page.locator(selector).filter(has_text=re.compile(text)).wait_for()

    def box(self, selector: str) -> dict[str, float]:
        return dict(self.page.locator(selector).bounding_box())

    def until(self, expression: str) -> None:
        """Wait until a JavaScript expression is true; Playwright's own method needs `eval`, which the page forbids."""
        give_up = time.monotonic() + 30
        while not self.page.evaluate(expression):
            assert time.monotonic() < give_up, expression
            self.page.wait_for_timeout(20)

    def split(self) -> int:
        """Return the percentage of the pictures' width that is left of the divider."""
        return int(self.page.get_attribute("#divider", "aria-valuenow"))


@pytest.fixture(scope="module")  # not for the session, because Playwright keeps an event loop running in this thread
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'impasto[browser]'")
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def screen() -> dict[str, Any]:
    """Return Playwright's options of the screen; a test can be parametrised with others."""
    return {"viewport": {"width": 1280, "height": 800}}


@pytest.fixture
def context(chromium: Any, screen: dict[str, Any], server: str) -> Iterator[Any]:
    """Open a browser context, whose pages must send requests to servers of the tests only."""
    context = chromium.new_context(**screen, base_url=server)
    context.grant_permissions(["clipboard-read", "clipboard-write", "camera"])
    asked_elsewhere: list[str] = []

    def note(request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "blob:")):
            asked_elsewhere.append(request.url)

    context.on("request", note)
    yield context
    context.close()
    assert not asked_elsewhere


@pytest.fixture
def desk(context: Any, photo_png: bytes) -> Iterator[Desk]:
    """Open the page and wait for its styles; there is no picture yet."""
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if "Content Security" in message.text else None)
    page.goto("/")
    page.locator("#styles label").first.wait_for()
    yield Desk(page, photo_png)
    assert not errors


@pytest.fixture
def painted(desk: Desk) -> Desk:
    """Open the page and paint a photo in the first style."""
    desk.pick()
    desk.wait()
    return desk
