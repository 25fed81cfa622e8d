"""Reads the picture out of a request."""

from typing import Any

from fastapi import Request
from starlette.datastructures import UploadFile

from service.problems import BadPicture, UnsupportedFormat

FIELD = "image"

OPENAPI_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The picture, as multipart field `image` or as the raw body.",
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "properties": {FIELD: {"type": "string", "format": "binary"}},
                }
            },
            "image/*": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


async def read_upload(request: Request) -> bytes:
    """The bytes of the picture.

    Raises:
        BadPicture: there is none.
        UnsupportedFormat: the body is neither multipart nor an image.
        TooLarge: it has too many bytes (see `BodyLimitMiddleware`).
        starlette.exceptions.HTTPException: the body is not multipart although it says so.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == "multipart/form-data":
        data = await _read_field(request)
    elif content_type.startswith("image/") or content_type in ("", "application/octet-stream"):
        data = await request.body()
    else:
        raise UnsupportedFormat(
            f"the body is {content_type}: send the picture as multipart field '{FIELD}' (curl -F {FIELD}=@photo.jpg), "
            "or as the raw body with an image content type"
        )
    if not data:
        raise BadPicture(f"there is no picture in the request: send one as multipart field '{FIELD}' or as the body")
    return data


async def _read_field(request: Request) -> bytes:
    async with request.form(max_files=1, max_fields=8) as form:
        part = form.get(FIELD)
        if isinstance(part, UploadFile):
            return await part.read()
        sent = ", ".join(form) or "none"
        raise BadPicture(f"there is no file in the multipart field '{FIELD}'; fields sent: {sent}")
