"""The way of a film to its client, which must not take it more slowly than it is played."""

import asyncio
import time

from starlette.types import Message, Send

from service.contract.problems import DeadlineExceeded


class FilmOutlet:
    """The way to a client, which may take the film as slowly as it is played, and not slower.

    Args:
        send: ASGI callable.
        patience_s: Seconds that the server waits for the client, in all.
    """

    def __init__(self, send: Send, patience_s: float) -> None:
        self._send = send
        self._patience_s = patience_s

    async def send(self, message: Message) -> None:
        """Send a message once the client has taken what came before.

        Raises:
            DeadlineExceeded: The client has kept the server waiting for too long.
        """
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._patience_s):
                await self._send(message)
        except TimeoutError:
            raise DeadlineExceeded("the client takes the film more slowly than it is played") from None
        self._patience_s -= time.monotonic() - started
