"""Answers without content: 304 to a client that has the content already, and HEAD as GET without a body."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.server import etag
from service.server.cache_control import NO_STORE


class ConditionalGetMiddleware:
    """Middleware that answers HEAD as GET without the content, and GET with an ETag, or with 304 to a known ETag.

    An answer that may not be kept, that comes in pieces, or that has an ETag already is left as it is.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection (ASGI)."""
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        is_head = scope["method"] == "HEAD"
        known = Headers(scope=scope).getlist("If-None-Match")
        start: Message | None = None

        async def send_unless_known(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            if start is not None:
                if not message.get("more_body", False) and _becomes_not_modified(start, message["body"], known):
                    message = {**message, "body": b""}
                await send(start)
                start = None
            await send({**message, "body": b""} if is_head else message)

        as_get = {**scope, "method": "GET"}
        try:
            await self._app(as_get, receive, send_unless_known)
        finally:
            scope.update(
                {**as_get, "method": scope["method"]}
            )  # so that middleware further out sees the route that was found


def _becomes_not_modified(start: Message, content: bytes, known: list[str]) -> bool:
    """Add the ETag of the content to an answer; if the client knows it, make the answer a 304 and return True."""
    headers = MutableHeaders(scope=start)
    if start["status"] != 200 or "ETag" in headers or NO_STORE in headers.get("Cache-Control", ""):
        return False
    headers["ETag"] = etag.of_content(content)
    if not etag.is_known(known, headers["ETag"]):
        return False
    start["status"] = 304
    del headers["Content-Length"], headers["Content-Type"]
    return True
