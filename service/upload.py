"""Reads the picture out of a request."""

import asyncio

from fastapi import Request
from starlette.datastructures import UploadFile

from service.problems import BadPicture, UnsupportedFormat, UploadTimeout

FIELD = "image"


async def read_upload(request: Request, timeout_s: float) -> bytes:
    """The bytes of the picture.

    Args:
        request: whose body was not touched yet.
        timeout_s: seconds for all of the body.

    Raises:
        UploadTimeout: it took longer.
        BadPicture: there is none.
        UnsupportedFormat: the body is neither multipart nor an image.
        TooLarge: it has too many bytes (see `BodyLimitMiddleware`).
        starlette.exceptions.HTTPException: the body is not multipart although it says so.
    """
    try:
        async with asyncio.timeout(timeout_s):
            data = await _read_body(request)
    except TimeoutError:
        raise UploadTimeout(f"the upload took more than {timeout_s:g} s: send a smaller picture or try again") from None
    if not data:
        raise BadPicture(f"there is no picture in the request: send one as multipart field '{FIELD}' or as the body")
    return data


async def _read_body(request: Request) -> bytes:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == "multipart/form-data":
        return await _read_field(request)
    if content_type.startswith("image/") or content_type in ("", "application/octet-stream"):
        return await request.body()
    raise UnsupportedFormat(
        f"the body is {content_type}: send the picture as multipart field '{FIELD}' (curl -F {FIELD}=@photo.jpg), "
        "or as the raw body with an image content type"
    )


async def _read_field(request: Request) -> bytes:
    async with request.form(max_files=1, max_fields=8) as form:
        part = form.get(FIELD)
        if isinstance(part, UploadFile):
            return await part.read()
        sent = ", ".join(form) or "none"
        raise BadPicture(f"there is no file in the multipart field '{FIELD}'; fields sent: {sent}")
