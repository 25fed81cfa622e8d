"""The routes of the playground: one page at `/`, the files that it consists of, and the defaults of the options."""

import json
import os
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from service.contract.options import StylizeOptions, SuperResolveOptions
from service.playground import STATIC

_PAGE = "index.html"
_HEADERS = {
    "Accept-Ranges": "none",
    "Cache-Control": "no-cache",  # browsers ask each time whether a file changed: names carry no version
    # blob: pictures and films are those of the visitor, and the answers.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "media-src blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "camera=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class _Files(StaticFiles):
    """The files of the page, which may load nothing from elsewhere."""

    def file_response(
        self, full_path: "str | os.PathLike[str]", stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        # So small files are sent whole: Starlette answers a range that is broken, or beyond the file, in plain text.
        scope["headers"] = [header for header in scope["headers"] if header[0] != b"range"]
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(_HEADERS)
        return response


_files = _Files(directory=STATIC)
router = APIRouter(include_in_schema=False)


@router.api_route("/", methods=["GET", "HEAD"])
async def page(request: Request) -> Response:
    """Return the page."""
    return await _files.get_response(_PAGE, request.scope)


@router.api_route("/playground/defaults.js", methods=["GET", "HEAD"])
async def defaults() -> Response:
    """Return a JavaScript module with the defaults of all options, by name."""
    everything = _defaults_of(StylizeOptions) | _defaults_of(SuperResolveOptions)
    return Response(
        f"export const DEFAULTS = Object.freeze({json.dumps(everything)});\n",
        media_type="text/javascript",
        headers=_HEADERS,
    )


@router.api_route("/playground/{name}", methods=["GET", "HEAD"])
async def file(request: Request, name: str) -> Response:
    """Return a file that the page consists of."""
    return await _files.get_response(name, request.scope)


def _defaults_of(options: type[BaseModel]) -> dict[str, Any]:
    return {name: field.default for name, field in options.model_fields.items() if not field.is_required()}
