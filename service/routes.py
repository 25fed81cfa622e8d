"""The routes that take pictures."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from model_store.card import Task
from service import codec
from service.blends import blend_for_factor
from service.deadline import HEADER as DEADLINE_HEADER
from service.models import Loaded
from service.openapi import PICTURE_BODY, TRANSFORM_ANSWERS
from service.parts import Parts, PartsDependency
from service.pipeline import Answer
from service.transformation import Wish, transform

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


class PictureOptions(BaseModel):
    """What every answer with a picture can be asked for."""

    model_config = ConfigDict(extra="forbid")

    format: codec.RequestedFormat = Field("auto", description="`auto` keeps the upload's.")
    quality: int = Field(90, ge=1, le=100, examples=[90], description="Of JPEG, WebP and AVIF.")


class StylizeOptions(PictureOptions):
    """Options of `/stylize`."""

    style: str = Field(
        max_length=800,
        examples=["muse", "muse:0.7,great-wave:0.3"],
        description="A name from `GET /models`, as in `muse` or `muse@1`, or a blend of up to 8, each with a share, as "
        "in `muse:0.7,great-wave:0.3`. Shares are divided by their sum and rounded to hundredths.",
    )


class SuperResolveOptions(PictureOptions):
    """Options of `/super-resolve`."""

    factor: int = Field(4, ge=2, le=64, examples=[4], description="Of enlargement; there must be a model for it.")
    blurred: bool = Field(
        default=False,
        description="Whether the upload is soft because it was blurred before it was shrunk, as photos of many cameras "
        "are; there must be a model for it.",
    )
    fidelity: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="From 1, true to the upload, to 0, sharp with made-up detail: the share of the net `xFACTOR-pixel` "
        "in its blend with `xFACTOR-feature`, for which there must be a model; rounded to hundredths.",
    )
    self_ensemble: bool = Field(
        default=False,
        description="Whether to take the mean over the upload's eight turns and mirrorings: about 0.2 dB better, and "
        "eight times the work.",
    )
    match_histogram: bool = Field(
        default=False,
        description="Whether to give the answer the distribution of colours of the upload, channel by channel.",
    )


@router.post("/stylize", response_class=Response, responses=TRANSFORM_ANSWERS, openapi_extra=PICTURE_BODY)
async def stylize(
    request: Request,
    parts: PartsDependency,
    options: Annotated[StylizeOptions, Query()],
    deadline_ms: DeadlineMs = None,
) -> Response:
    """Paints a photo in a style; the answer has the photo's size."""
    return await _transform(request, parts, deadline_ms, "stylize", options.style, options)


@router.post("/super-resolve", response_class=Response, responses=TRANSFORM_ANSWERS, openapi_extra=PICTURE_BODY)
async def super_resolve(
    request: Request,
    parts: PartsDependency,
    options: Annotated[SuperResolveOptions, Query()],
    deadline_ms: DeadlineMs = None,
) -> Response:
    """Enlarges a picture by a whole factor."""
    return await _transform(
        request,
        parts,
        deadline_ms,
        "super-resolve",
        blend_for_factor(options.factor, blurred=options.blurred, fidelity=options.fidelity),
        options,
        self_ensemble=options.self_ensemble,
        match_histogram=options.match_histogram,
    )


async def _transform(
    request: Request,
    parts: Parts,
    deadline_ms: int | None,
    task: Task,
    model: str,
    options: PictureOptions,
    **asked: bool,
) -> Response:
    """See `transform`; what else is asked for is as in `Pipeline.run`."""

    def compute(loaded: Loaded, data: bytes, take_pixels: Callable[[int], None]) -> Coroutine[Any, Any, Answer]:
        return parts.pipeline.run(task, loaded, data, options.format, options.quality, take_pixels, **asked)

    return await transform(request, parts, deadline_ms, Wish(task, model, options, compute))
