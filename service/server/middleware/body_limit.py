"""A limit on how much of a request's body is read."""

from typing import cast

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.contract.problems import TooLarge
from service.server.films.beginning import may_be_film

_NAME = "body_limit"


class BodyLimit:
    """The limit of one request's body.

    Pictures and films have limits of their own, and the larger one holds until it is known which of them the body is.

    Args:
        limit: Largest number of bytes of pictures.
        film_limit: Largest number of bytes of a film; 0 if the body cannot be one.
        announced: Number of bytes that the client says it sends, or 0.
    """

    def __init__(self, limit: int, film_limit: int, announced: int) -> None:
        self._limit = limit
        self._film_limit = film_limit
        self._most = max(limit, film_limit)
        self._bytes = announced
        self._received = 0

    @classmethod
    def of(cls, connection: HTTPConnection) -> "BodyLimit":
        """Return the limit of a request."""
        return cast("BodyLimit", connection.scope["state"][_NAME])

    def decide(self, *, is_film: bool) -> None:
        """Have the limit for pictures or for films hold from here on.

        Raises:
            TooLarge: The body has, or is going to have, more bytes.
        """
        self._most = self._film_limit if is_film else self._limit
        self.check()

    def count(self, size: int) -> None:
        """Count bytes that have come.

        Raises:
            TooLarge: With them, the body has too many.
        """
        self._received += size
        self._bytes = max(self._bytes, self._received)
        self.check()

    def check(self) -> None:
        """Check the bytes that have come, and those that are announced.

        Raises:
            TooLarge: They are too many.
        """
        if self._bytes > self._most:
            noun = "film" if self._most == self._film_limit else "picture"
            raise TooLarge(
                f"the upload has more than the {self._most:,} bytes that this server takes: make the {noun} smaller"
            )


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
        film_limit: Largest number of bytes of one that is a film.
    """

    def __init__(self, app: ASGIApp, limit: int, film_limit: int) -> None:
        self._app = app
        self._limit = limit
        self._film_limit = film_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        length = headers.get("content-length", "")
        announced = int(length) if length.isdecimal() else 0
        film_limit = self._film_limit if may_be_film(headers.get("content-type", "")) else 0
        scope.setdefault("state", {})[_NAME] = limit = BodyLimit(self._limit, film_limit, announced)
        waits_to_send = (
            headers.get("expect", "").lower() == "100-continue"
        )  # uvicorn tells it to send at the first `receive`
        may_send_more = announced > self._limit or waits_to_send or "transfer-encoding" in headers

        async def receive_limited() -> Message:
            nonlocal may_send_more
            limit.check()
            message = await receive()
            may_send_more = may_send_more and message.get("more_body", False)
            limit.count(len(message.get("body", b"")))
            return message

        async def send_and_close(message: Message) -> None:
            if may_send_more and message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        await self._app(scope, receive_limited, send_and_close)
