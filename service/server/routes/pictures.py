"""The routes that take pictures."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from service.contract.options import StylizeOptions, SuperResolveOptions
from service.server.limits.deadline import HEADER as DEADLINE_HEADER
from service.server.openapi import PICTURE_BODY, TRANSFORM_ANSWERS
from service.server.routes.transformation import transform
from service.server.state import PartsDependency

router = APIRouter(tags=["pictures"])


DeadlineMs = Annotated[
    Annotated[int, Field(gt=0)] | SkipJsonSchema[None],
    Header(
        alias=DEADLINE_HEADER,
        examples=[5000],
        description="Milliseconds from the request's arrival after which its answer is of no more use; 504 then. The "
        "server may allow less.",
    ),
]


@router.post("/stylize", response_class=Response, responses=TRANSFORM_ANSWERS, openapi_extra=PICTURE_BODY)
async def stylize(
    request: Request,
    parts: PartsDependency,
    options: Annotated[StylizeOptions, Query()],
    deadline_ms: DeadlineMs = None,
) -> Response:
    """Paints a photo in a style; the answer has the photo's size."""
    return await transform(request, parts, deadline_ms, options)


@router.post("/super-resolve", response_class=Response, responses=TRANSFORM_ANSWERS, openapi_extra=PICTURE_BODY)
async def super_resolve(
    request: Request,
    parts: PartsDependency,
    options: Annotated[SuperResolveOptions, Query()],
    deadline_ms: DeadlineMs = None,
) -> Response:
    """Enlarges a picture by a whole factor."""
    return await transform(request, parts, deadline_ms, options)
