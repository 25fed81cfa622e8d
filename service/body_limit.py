"""Refuses uploads with too many bytes, before they are read where they say their length."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.problems import TooLarge


class BodyLimitMiddleware:
    """Raises `TooLarge` out of `receive` when a request's body has more than `limit` bytes.

    Starlette has such a middleware, but that answers in plain text where we owe a problem document.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        received = 0

        async def receive_limited() -> Message:
            nonlocal received
            if announced.isdecimal() and int(announced) > self._limit:
                self._refuse()
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                self._refuse()
            return message

        await self._app(scope, receive_limited, send)

    def _refuse(self) -> None:
        raise TooLarge(
            f"the upload has more than the {self._limit:,} bytes that this server takes: make the picture smaller"
        )
