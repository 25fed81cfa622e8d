"""The parts of the OpenAPI document that FastAPI cannot find out itself: pictures, problems, headers and examples."""

from typing import Any

from fastapi import FastAPI

from service import codec
from service.contract import problems
from service.server.archive import MULTIPART, ZIP
from service.server.upload import FIELD

Responses = dict[int | str, dict[str, Any]]

DESCRIPTION = """\
Send a picture, get a picture. Every error is `application/problem+json` with a `detail` that says what to do.

All answers have an `X-Request-ID`: the one that was sent, or a new one. A request that sends the `ETag` of an earlier
answer as `If-None-Match` is answered 304 where that is still right, without content or computing, for POST too. Equal
requests at the same time are computed once. GET routes answer HEAD, too.
"""
TAGS = [
    {"name": "pictures", "description": "Painting and enlarging."},
    {"name": "models", "description": "The styles and nets that paint and enlarge."},
    {"name": "health", "description": "Health and metrics, for load balancers and monitoring."},
]

_BINARY = {"type": "string", "format": "binary"}
_FILM_TYPE = "video/mp4"
_PICTURE_TYPES = (*codec.MEDIA_TYPES.values(), "application/octet-stream")
PICTURE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": f"The picture, as multipart field `{FIELD}` or as the raw body: {codec.NAMES}. Of a file with "
        f"several frames or pages, the first is used. Several fields `{FIELD}` are answered with a ZIP, or with "
        f"`{MULTIPART}` where `Accept` asks for that: one file for each picture, in their order and named as the "
        "upload. A picture that cannot be made is represented by its problem, `NAME.problem.json`; the status is 200 "
        "all the same. A film, alone, is answered with a film while it is made: only an answer with its "
        "last chunk is whole. The server never fetches pictures from elsewhere.",
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "properties": {FIELD: {"type": "array", "items": _BINARY, "minItems": 1}},
                    "additionalProperties": False,
                },
            },
            **{media_type: {"schema": _BINARY} for media_type in (*_PICTURE_TYPES, _FILM_TYPE)},
        },
    }
}


def _header(description: str, example: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}, "example": example}


_REQUEST_ID = {"X-Request-ID": _header("Id of the request: the one that was sent, or a new one.", "job-17")}
_CACHED = {
    "ETag": _header("ETag of this answer, for `If-None-Match`.", '"3f7a0c5e9b1d42688d0fe14c7a5b9e21"'),
    "Cache-Control": _header("What caches may keep of the answer.", "no-cache"),
}
_MADE = {
    "X-Model": _header(
        "The net that made the picture, with its version; all of a blend or of several pictures.", "muse@1"
    ),
    "ETag": _header(
        "ETag of this answer, made from upload, options and net, for `If-None-Match`. Several pictures have none if "
        "one of them has a problem.",
        'W/"3f7a0c5e9b1d42688d0fe14c7a5b9e21"',
    ),
    "Cache-Control": _header("Only the client may keep the answer, and asks before each use.", "private, no-cache"),
}
_TIMED = {
    "X-Frames": _header("Number of frames or pages of the upload, if more than one; the first was used.", "12"),
    "X-Truncated": _header("`true` where the upload lacks its end, but none of its pixels.", "true"),
    "X-Notes": _header("What a film lost, in sentences.", "its 10 bits a channel became 8"),
    "Server-Timing": _header(
        "Milliseconds of each stage, added up over several pictures.",
        "decode;dur=4.1, queue;dur=0.2, net;dur=88.0, encode;dur=6.3",
    ),
}
_OF_PROBLEMS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": _header("How to authenticate.", 'Bearer realm="impasto"')},
    429: {"Retry-After": _header("Seconds after which to try again.", "3")},
    503: {"Retry-After": _header("Seconds after which to try again, where that may help.", "10")},
}


def content_answers(content: dict[str, Any], headers: dict[str, Any] | None = None) -> Responses:
    """Return the documentation of a 200 with this content, by media type."""
    return {200: {"description": "Success.", "headers": _REQUEST_ID | (headers or {}), "content": content}}


def json_answers(example: Any, headers: dict[str, Any] | None = None) -> Responses:
    """Return the documentation of a 200 in JSON, whose schema FastAPI knows."""
    return content_answers({"application/json": {"example": example}}, headers)


def problem_answers(*kinds: type[problems.Problem]) -> Responses:
    """Return the documentation of problems, one answer for each status, with an example of each problem."""
    by_status: dict[int, list[type[problems.Problem]]] = {}
    for kind in kinds:
        by_status.setdefault(kind.status, []).append(kind)
    return {
        status: {
            "description": ", ".join(kind.title for kind in same),
            "headers": _REQUEST_ID | _OF_PROBLEMS.get(status, {}),
            "model": problems.ProblemDocument,
            "content": {
                problems.MEDIA_TYPE: {
                    "schema": {"$ref": "#/components/schemas/ProblemDocument"},
                    "examples": {
                        kind.name: {"summary": kind.title, "value": kind(kind.example).document("job-17").model_dump()}
                        for kind in same
                    },
                }
            },
        }
        for status, same in by_status.items()
    }


NOT_MODIFIED: Responses = {304: {"description": "The client has the answer already.", "headers": _REQUEST_ID | _CACHED}}
AUTHORIZATION_ANSWERS: Responses = problem_answers(problems.Unauthorized)

TRANSFORM_ANSWERS: Responses = {
    **content_answers(
        {media_type: {} for media_type in (*codec.MEDIA_TYPES.values(), _FILM_TYPE, ZIP, MULTIPART)}, _MADE | _TIMED
    ),
    304: {"description": "The client has the answer already.", "headers": _REQUEST_ID | _MADE},
    **problem_answers(
        problems.BadForm,
        problems.BadOption,
        problems.BadPicture,
        problems.BadFilm,
        problems.UnknownModel,
        problems.TooLarge,
        problems.UnsupportedFormat,
        problems.UploadTimeout,
        problems.Busy,
        problems.InternalError,
        problems.DamagedWeights,
        problems.Unavailable,
        problems.DeviceLost,
        problems.DeadlineExceeded,
    ),
}
METRICS_ANSWERS: Responses = {
    **content_answers({"text/plain": {}, "application/openmetrics-text": {}}),
    **problem_answers(problems.InternalError),
}
_EXAMPLE_CARD: dict[str, Any] = {
    "task": "stylize",
    "name": "muse",
    "title": "The Muse",
    "description": "Green and violet strokes.",
    "architecture": "style-net",
    "parameters": {"width": 32},
    "factor": None,
    "recipe": {"steps": 40000},
    "training_data": "photos",
    "loss_network": "vgg16",
    "measurements": [],
    "limitations": "",
    "licence": "Apache-2.0",
    "author": "Impasto",
    "version": 1,
    "sha256": "0" * 64,
    "created_at": "2026-01-01T00:00:00Z",
}
CARDS_ANSWERS: Responses = {
    **json_answers([_EXAMPLE_CARD | {"served_version": 1, "loaded": True}], _CACHED),
    **NOT_MODIFIED,
    **problem_answers(problems.InternalError),
}
CARD_ANSWERS: Responses = {
    **json_answers(_EXAMPLE_CARD, _CACHED),
    **NOT_MODIFIED,
    **problem_answers(problems.UnknownModel, problems.InternalError, problems.DamagedWeights),
}
PREVIEW_ANSWERS: Responses = {**CARD_ANSWERS, **content_answers({"image/jpeg": {}}, _CACHED)}


def install(app: FastAPI, most_pictures: int) -> None:
    """Have the app's document state this server's limits, and leave out FastAPI's own errors, which do not occur here.

    Args:
        app: App with all of its routes.
        most_pictures: Largest number of pictures in one form.
    """
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _corrected(generate(), most_pictures)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _corrected(document: dict[str, Any], most_pictures: int) -> dict[str, Any]:
    for operation in (operation for path in document["paths"].values() for operation in path.values()):
        form = operation.get("requestBody", {}).get("content", {}).get("multipart/form-data")
        if form is not None:
            form["schema"]["properties"][FIELD]["maxItems"] = most_pictures
        answers: dict[str, Any] = operation["responses"]
        for status, answer in list(answers.items()):
            content = answer.get("content", {})
            if problems.MEDIA_TYPE in content:
                content.pop("application/json", None)
            elif status == "422":
                del answers[status]
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
    return document
