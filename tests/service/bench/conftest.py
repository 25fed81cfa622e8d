"""A small server on a real socket to be measured, whose behaviour each request chooses by its style."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from aiohttp import web
from PIL import Image

from service.bench.pictures import Pictures
from service.bench.workload import Kind, stylize

from ...picture_files import encoded


class Target:
    """A server of `/stylize` that records its requests and how many were in flight at the same time."""

    def __init__(self) -> None:
        self.url = ""
        self.received: Counter[str] = Counter()
        self.bodies: list[bytes] = []
        self.media_types: list[str] = []
        self.authorizations: list[str | None] = []
        self.most_in_flight = 0
        self.together = 1
        """The number of requests of the style `together` that must have come before any of them is answered."""
        self.has_enough = threading.Event()
        """An event that is set when so many requests of any style have come."""
        self._in_flight = 0
        self._are_together = asyncio.Event()
        self._picture = encoded(Image.new("RGB", (8, 8)))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.read())
        self.media_types.append(request.content_type)
        self.authorizations.append(request.headers.get("Authorization"))
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            return await self._behave(request)
        finally:
            self._in_flight -= 1

    async def _behave(self, request: web.Request) -> web.StreamResponse:
        style = request.query["style"]
        self.received[style] += 1
        if self.received.total() >= self.together:
            self.has_enough.set()
        if style == "slow":
            await asyncio.sleep(0.05)
        elif style == "together":
            if self.received[style] >= self.together:
                self._are_together.set()
            await self._are_together.wait()
        elif style == "never":
            await asyncio.Event().wait()
        elif style == "dropped":
            assert request.transport is not None
            request.transport.close()
        elif style == "torn":
            response = web.StreamResponse(headers={"Content-Type": "image/png", "Content-Length": "1000"})
            await response.prepare(request)
            await response.write(b"half")
            assert request.transport is not None
            request.transport.close()
            return response
        return self._at_once(style)

    def _at_once(self, style: str) -> web.Response:
        if style == "busy":
            return web.Response(status=429, headers={"Retry-After": "7"})
        if style == "unknown":
            return web.json_response({"detail": "there is no style"}, status=404)
        if style == "page":
            return web.Response(text="welcome", content_type="text/html")
        if style == "moved":
            return web.Response(status=307, headers={"Location": "/stylize?style=plain"}, text="over there")
        timing = {"Server-Timing": 'decode;dur=1.5, net;desc="muse";dur=20, total;dur=30'} if style == "timed" else {}
        return web.Response(body=self._picture, content_type="image/png", headers=timing)


@pytest.fixture
def target() -> Iterator[Target]:
    target, started = Target(), threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        application = web.Application()
        application.router.add_post("/stylize", target.answer)
        runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        target.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        started.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert started.wait(30)
    yield target
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


@pytest.fixture
def kinds() -> Callable[..., tuple[Kind, ...]]:
    """Return a function from styles to kinds of requests, each with two bodies and answers of 1000 pixels."""
    pictures = Pictures("40×25", (b"one", b"two"), "image/jpeg", 40, 25)
    return lambda *styles: stylize(styles, [pictures])
