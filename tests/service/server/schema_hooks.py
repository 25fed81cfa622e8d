"""Hooks that tell Schemathesis what the OpenAPI document cannot: what a picture is, and which styles exist."""

import io
from typing import Any

import schemathesis
from hypothesis import strategies as st
from PIL import Image

from service.codec import MEDIA_TYPES


def _picture(format: str, width: int) -> bytes:  # noqa: A002
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((width, 16)).save(buffer, format.upper())
    return buffer.getvalue()


_PICTURES = st.sampled_from([_picture(name, width) for name in MEDIA_TYPES for width in (16, 24)])

schemathesis.openapi.format("binary", _PICTURES)
for media_type in (*MEDIA_TYPES.values(), "application/octet-stream"):
    schemathesis.openapi.media_type(media_type, _PICTURES)


@schemathesis.hook
def before_call(_context: schemathesis.HookContext, case: schemathesis.Case, _kwargs: dict[str, Any]) -> None:
    """Give each request time enough for its answer, and keep valid requests to rules that no schema can express.

    A 504 to a request that allows a millisecond is documented, but not what is tested. A request that the schema allows
    asks for a style that exists about every other time, for no style that looks like a blend, and for no fidelity
    together with `blurred`; how much to enlarge is said by one option only, and by a size that the pictures fit.
    """
    if str(case.headers.get("X-Deadline-Ms", "")).isdecimal() and int(case.headers["X-Deadline-Ms"]) > 0:
        case.headers["X-Deadline-Ms"] = "60000"
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    style = case.query.get("style")
    if isinstance(style, str) and (len(style) % 2 or set(style) & set(",:")):
        case.query["style"] = "muse"
    if "fidelity" in case.query:
        case.query.pop("blurred", None)
    if case.path == "/super-resolve":
        told = [name for name in ("size", "scale", "factor") if name in case.query]
        for name in told[1:]:
            case.query.pop(name)
        if "size" in case.query:
            case.query["size"] = 100
