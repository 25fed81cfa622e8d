"""The upload of a film, which is kept on disk, in a file without a name."""

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import IO

from fastapi import Request
from starlette.exceptions import HTTPException

from service.contract.problems import BadForm, Unavailable, UploadTimeout
from service.server.films.beginning import is_form
from service.server.upload import picture_part

_RETRY_AFTER_S = 10
"""Seconds after which to try again where the disk is full."""
_log = logging.getLogger(__name__)


@asynccontextmanager
async def film_upload(request: Request, timeout_s: float) -> AsyncIterator[IO[bytes]]:
    """Read the film of a request into a file on disk, which is there until the block of the `with` statement ends.

    Args:
        request: Request whose body begins like a film, or like a form with one.
        timeout_s: Seconds that the whole body may take.

    Raises:
        UploadTimeout: The body took longer.
        BadForm: The form cannot be read, or has more than the film.
        BadOption: The field of the form has another name.
        TooLarge: The body has too many bytes; see `BodyLimitMiddleware`.
        Unavailable: The disk has no room for the film.
    """
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(timeout_s):
                if is_form(request.headers.get("content-type", "")):
                    file = await _from_form(request, stack)
                else:
                    file = await _from_body(request, stack)
        except TimeoutError:
            raise UploadTimeout(f"the upload took more than {timeout_s:g} s: send a smaller film") from None
        except OSError as error:
            _log.error("cannot keep a film on disk: %s", error)
            detail = "there is no room for the film now: try later, or send a smaller one"
            raise Unavailable(detail, _RETRY_AFTER_S) from None
        yield file


async def _from_form(request: Request, stack: AsyncExitStack) -> IO[bytes]:
    try:
        form = await stack.enter_async_context(request.form(max_files=1, max_fields=8))
    except HTTPException as error:
        raise BadForm(f"the form cannot be read, or has more than one film: {error.detail}") from error
    parts = [picture_part(name, value) for name, value in form.multi_items()]
    if len(parts) != 1:
        raise BadForm("a film is sent alone: send the others in requests of their own")
    spooled = parts[0].file
    await asyncio.to_thread(spooled.rollover)  # type: ignore[attr-defined]
    spooled.flush()
    return spooled


async def _from_body(request: Request, stack: AsyncExitStack) -> IO[bytes]:
    file = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
    async for piece in request.stream():
        await asyncio.to_thread(file.write, piece)
    file.flush()
    return file
