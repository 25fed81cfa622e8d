"""Uploads: the pictures that a request has in its form or as its body."""

import asyncio
import logging
from typing import NamedTuple

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from service.contract.problems import BadForm, BadOption, BadPicture, Unavailable, UnsupportedFormat, UploadTimeout

FIELD = "image"
"""Name of the form field of a picture."""
_log = logging.getLogger(__name__)
NO_FETCHING = "this server fetches no pictures from elsewhere, so there is no 'url': send the picture itself"


class Upload(NamedTuple):
    """One picture of a request."""

    data: bytes
    """Bytes of the picture as a file; they may be empty."""
    name: str | None
    """Name of its file, as the client sent it; None if it sent none."""


async def read_uploads(request: Request, timeout_s: float, most: int) -> list[Upload]:
    """Read the pictures of a request, and return at least one.

    Args:
        request: Request whose body was not read yet.
        timeout_s: Seconds that the whole body may take.
        most: Largest number of pictures.

    Raises:
        UploadTimeout: The body took longer.
        BadForm: The body says that it is multipart and cannot be read as that, or has too many pictures or fields.
        BadOption: The form has a field of another name.
        BadPicture: The form has no file.
        UnsupportedFormat: The body is neither multipart nor an image.
        TooLarge: The body has too many bytes; see `BodyLimitMiddleware`.
        Unavailable: The disk has no room for the form.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return await _read_body(request, most)
    except TimeoutError:
        raise UploadTimeout(f"the upload took more than {timeout_s:g} s: send a smaller picture or try again") from None


async def _read_body(request: Request, most: int) -> list[Upload]:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == "multipart/form-data":
        return await _read_form(request, most)
    if content_type.startswith("image/") or content_type in ("", "application/octet-stream"):
        return [Upload(await request.body(), None)]
    raise UnsupportedFormat(
        f"the body is {content_type}: send the picture as multipart field '{FIELD}' (curl -F {FIELD}=@photo.jpg), "
        "or as the raw body with an image content type"
    )


async def _read_form(request: Request, most: int) -> list[Upload]:
    try:
        async with request.form(max_files=most, max_fields=8) as form:
            parts = [picture_part(name, value) for name, value in form.multi_items()]
            if not parts:
                raise BadPicture(f"the form is empty: send a picture as its field '{FIELD}'")
            return [Upload(await part.read(), part.filename) for part in parts]
    except HTTPException as error:
        raise BadForm(f"the body cannot be read as multipart/form-data: {error.detail}") from error
    except OSError as error:  # files of more than a megabyte are kept on disk meanwhile
        _log.error("cannot keep an upload on disk: %s", error)
        raise Unavailable(
            "there is no room for the form now: try later, or send the picture as the raw body", 10
        ) from None


def picture_part(name: str, value: UploadFile | str) -> UploadFile:
    """Return the file of a form's field.

    Raises:
        BadOption: The field has another name than that of a picture.
        BadPicture: The field has no file.
    """
    if name == "url":
        raise BadOption(NO_FETCHING)
    if name != FIELD:
        raise BadOption(
            f"there is no form field {name!r}: send pictures as '{FIELD}', and options in the query, as in ?quality=90"
        )
    if not isinstance(value, UploadFile):
        raise BadPicture(f"there is no file in the multipart field '{FIELD}': send one (curl -F {FIELD}=@photo.jpg)")
    return value
