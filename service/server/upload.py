"""Reads the pictures out of a request."""

import asyncio
from typing import NamedTuple

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from service.contract.problems import BadForm, BadOption, BadPicture, UnsupportedFormat, UploadTimeout

FIELD = "image"
NO_FETCHING = "this server fetches no pictures from elsewhere, so there is no 'url': send the picture itself"


class Upload(NamedTuple):
    """One picture."""

    data: bytes
    name: str | None
    """Of its file, as the client tells it."""


async def read_uploads(request: Request, timeout_s: float, most: int) -> list[Upload]:
    """The pictures of a request, at least one; they may be empty.

    Args:
        request: whose body was not touched yet.
        timeout_s: seconds for all of the body.
        most: pictures.

    Raises:
        UploadTimeout: it took longer.
        BadForm: the body is not multipart although it says so, or there are too many pictures in it.
        BadOption: there is something else in it.
        BadPicture: there is none.
        UnsupportedFormat: the body is neither multipart nor an image.
        TooLarge: it has too many bytes (see `BodyLimitMiddleware`).
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
            parts = [_picture_part(name, value) for name, value in form.multi_items()]
            if not parts:
                raise BadPicture(f"the form is empty: send a picture as its field '{FIELD}'")
            return [Upload(await part.read(), part.filename) for part in parts]
    except HTTPException as error:
        raise BadForm(f"the body cannot be read as multipart/form-data: {error.detail}") from error


def _picture_part(name: str, value: UploadFile | str) -> UploadFile:
    if name == "url":
        raise BadOption(NO_FETCHING)
    if name != FIELD:
        raise BadOption(
            f"there is no form field {name!r}: send pictures as '{FIELD}', and options in the query, as in ?quality=90"
        )
    if not isinstance(value, UploadFile):
        raise BadPicture(f"there is no file in the multipart field '{FIELD}': send one (curl -F {FIELD}=@photo.jpg)")
    return value
