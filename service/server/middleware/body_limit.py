"""A limit on how much of a request's body is read."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.contract.problems import TooLarge


class BodyLimitMiddleware:
    """Middleware that raises `TooLarge` out of `receive` when a body has, or announces, more than `limit` bytes.

    A client that is answered before the end of its body, by this or any other problem, may use the connection again if
    its body is known to end within the limit. Otherwise the connection is closed, and likewise where the client asked
    whether to send at all (`Expect: 100-continue`), because it may now send the body or not. What is sent until then is
    thrown away by `service.server.connections`, so that the answer arrives.

    Starlette has a limit, too, but answers in plain text instead of a problem document.

    Args:
        app: Next ASGI application, which reads the body and answers.
        limit: Largest number of bytes of a body.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

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

        async def send_and_close(message: Message) -> None:
            if may_send_more and message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        await self._app(scope, receive_limited, send_and_close)

    def _refuse(self) -> None:
        raise TooLarge(
            f"the upload has more than the {self._limit:,} bytes that this server takes: make the picture smaller"
        )
