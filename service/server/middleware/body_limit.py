"""A limit on how much of a request's body is read: before the answer, and after an early answer."""

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.contract.problems import TooLarge


class BodyLimitMiddleware:
    """Middleware that raises `TooLarge` out of `receive` when a body has, or announces, more than `limit` bytes.

    A client that is still sending when it is answered, with this or any other problem, has to be listened to: closing
    the connection at once would reset it, and the answer might be lost. The rest of a body that ends within the limit
    is thrown away by uvicorn. Of a longer body, or one that does not announce its length, this middleware throws away
    some and then closes the connection. It does the same where a client asked whether to send at all
    (`Expect: 100-continue`), because that client may now send the body or not.

    Starlette has a limit, too, but answers in plain text instead of a problem document.

    Args:
        app: Next ASGI application, which reads the body and answers.
        limit: Largest number of bytes of a body; as many again are thrown away after an early answer.
        drain_s: Seconds for throwing away.
    """

    def __init__(self, app: ASGIApp, limit: int, drain_s: float) -> None:
        self._app = app
        self._limit = limit
        self._drain_s = drain_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        announced = headers.get("content-length", "")
        is_too_long = announced.isdecimal() and int(announced) > self._limit
        waits_to_send = (
            headers.get("expect", "").lower() == "100-continue"
        )  # uvicorn tells it to send at the first `receive`
        may_send_more = is_too_long or waits_to_send or "transfer-encoding" in headers
        received = 0

        async def receive_limited() -> Message:
            nonlocal may_send_more, received
            if is_too_long:
                self._refuse()
            message = await receive()
            may_send_more = may_send_more and message.get("more_body", False)
            received += len(message.get("body", b""))
            if received > self._limit:
                self._refuse()
            return message

        async def send_and_drain(message: Message) -> None:
            if may_send_more and message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Connection"] = "close"
            elif may_send_more and not message.get("more_body", False):
                await send({**message, "more_body": True})
                await self._drain(receive)
                message = {"type": "http.response.body"}
            await send(message)

        await self._app(scope, receive_limited, send_and_drain)

    def _refuse(self) -> None:
        raise TooLarge(
            f"the upload has more than the {self._limit:,} bytes that this server takes: make the picture smaller"
        )

    async def _drain(self, receive: Receive) -> None:
        left = self._limit
        with suppress(TimeoutError):
            async with asyncio.timeout(self._drain_s):
                while left > 0:
                    message = await receive()
                    if not message.get("more_body", False):
                        return
                    left -= len(message["body"])
