"""The rate of an upload: a client that sends too slowly is refused long before the time for uploads is over."""

import asyncio

from starlette.types import Message, Receive

from service.contract.problems import UploadTimeout

_LEAST_BYTES_PER_S = 8 * 1024
"""Smallest number of bytes a second that a client must send; a poor mobile connection sends as many."""


def at_least_rate(receive: Receive, period_s: float) -> Receive:
    """Return a `receive` for which the client has to send 8 KiB for each second of a period, and again in the next one.

    Only the time that is spent waiting for the client counts. A period ends as soon as the client has sent enough.

    Args:
        receive: ASGI function that returns the parts of a body.
        period_s: Seconds of a period.

    Raises:
        UploadTimeout: Out of what is returned, if the client sends less.
    """
    loop = asyncio.get_running_loop()
    enough = _LEAST_BYTES_PER_S * period_s
    left_s, missing = period_s, enough

    async def receive_in_time() -> Message:
        nonlocal left_s, missing
        asked = loop.time()
        try:
            async with asyncio.timeout(left_s):
                message = await receive()
        except TimeoutError:
            raise UploadTimeout(
                f"the upload brought less than {enough:,.0f} bytes in {period_s:g} s: try again on a better connection"
            ) from None
        left_s -= loop.time() - asked
        missing -= len(message.get("body", b""))
        if missing <= 0:
            left_s, missing = period_s, enough
        return message

    return receive_in_time
