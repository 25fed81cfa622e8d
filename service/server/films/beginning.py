"""The beginning of an upload, by which a film is told from a picture before the rest of it is read."""

import asyncio
from typing import NamedTuple

from starlette.types import Message, Receive

from service.contract.problems import UploadTimeout
from service.video.recognition import BYTES_LOOKED_AT, film_format

MOST_BYTES = 16 * 1024
"""Largest number of bytes that are read of an upload to find out what it is, besides those that come with them."""
_FORM = "multipart/form-data"
_END_OF_HEADERS = b"\r\n\r\n"


def may_be_film(content_type: str) -> bool:
    """Tell whether a body of this media type may be a film, or a form with one."""
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type in ("", "application/octet-stream", _FORM) or media_type.startswith("video/")


def is_form(content_type: str) -> bool:
    """Tell whether a body of this media type is a form."""
    return content_type.partition(";")[0].strip().lower() == _FORM


class Beginning(NamedTuple):
    """The beginning of an upload."""

    film_format: str | None
    """FFmpeg's name of the film's format; None if the upload is no film."""
    receive: Receive
    """The ASGI callable that gives the whole upload, what was read already included."""


async def read_beginning(receive: Receive, content_type: str, timeout_s: float) -> Beginning:
    """Read the beginning of an upload, if it may be a film.

    Args:
        receive: ASGI callable by which the request's body is read.
        content_type: Media type of the body, with its parameters.
        timeout_s: Seconds that it may take.

    Raises:
        UploadTimeout: It took longer.
    """
    if not may_be_film(content_type):
        return Beginning(None, receive)
    messages: list[Message] = []
    read = file = b""
    try:
        async with asyncio.timeout(timeout_s):
            while not messages or messages[-1].get("more_body", False):
                messages.append(await receive())
                read += messages[-1].get("body", b"")
                file = read.partition(_END_OF_HEADERS)[2] if is_form(content_type) else read
                if len(file) >= BYTES_LOOKED_AT or len(read) >= MOST_BYTES:
                    break
    except TimeoutError:
        raise UploadTimeout(f"the upload took more than {timeout_s:g} s: send a smaller file or try again") from None
    messages.reverse()

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return Beginning(film_format(file[:BYTES_LOOKED_AT]), receive_again)
