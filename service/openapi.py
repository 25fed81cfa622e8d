"""What the OpenAPI document says of pictures and problems, beyond what FastAPI finds out itself."""

from typing import Any

from service import codec, problems
from service.error_handlers import MEDIA_TYPE
from service.upload import FIELD

Responses = dict[int | str, dict[str, Any]]

_BINARY = {"type": "string", "format": "binary"}
PICTURE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": f"The picture, as multipart field `{FIELD}` or as the raw body: {codec.NAMES}. Of an animation, "
        "or of several pages, the first is used.",
        "content": {
            "multipart/form-data": {
                "schema": {"type": "object", "required": [FIELD], "properties": {FIELD: _BINARY}},
            },
            "image/*": {"schema": _BINARY},
        },
    }
}


_FRAMES = {"description": "Of an upload of several, of which the first was used.", "schema": {"type": "integer"}}


def picture_answers(*media_types: str) -> Responses:
    """A picture in one of these formats."""
    return {200: {"description": "The picture.", "content": {media_type: {} for media_type in media_types}}}


def problem_answers(*kinds: type[problems.Problem]) -> Responses:
    """One entry for each status of the problems."""
    titles: dict[int, list[str]] = {}
    for kind in kinds:
        titles.setdefault(kind.status, []).append(kind.title)
    schema = {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}
    return {
        status: {"description": ", ".join(each), "model": problems.ProblemDocument, "content": {MEDIA_TYPE: schema}}
        for status, each in titles.items()
    }


TRANSFORM_ANSWERS: Responses = {
    200: {**picture_answers(*codec.MEDIA_TYPES.values())[200], "headers": {"X-Frames": _FRAMES}},
    **problem_answers(
        problems.BadOption,
        problems.BadPicture,
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
    200: {"description": "Counts and gauges.", "content": {"text/plain": {}, "application/openmetrics-text": {}}}
}
CARD_ANSWERS: Responses = problem_answers(problems.BadOption, problems.UnknownModel, problems.DamagedWeights)
