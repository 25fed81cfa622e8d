"""The HTTP routes."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, ConfigDict, Field

from model_store.card import Card, Task, parse_label
from model_store.errors import BadLabel, DamagedModel, ModelNotFound
from model_store.store import Store
from service import codec, problems
from service.admission import Admission
from service.disconnect import unless_disconnected
from service.error_handlers import MEDIA_TYPE
from service.models import name_of_factor
from service.pipeline import Pipeline
from service.settings import Settings
from service.upload import OPENAPI_BODY, read_upload

router = APIRouter()


class PictureOptions(BaseModel):
    """What every answer with a picture can be asked for."""

    model_config = ConfigDict(extra="forbid")

    format: codec.RequestedFormat = Field("auto", description="`auto` keeps the upload's.")
    quality: int = Field(90, ge=1, le=100, description="Of JPEG, WebP and AVIF.")


class StylizeOptions(PictureOptions):
    """Options of `/stylize`."""

    style: str = Field(max_length=100, description="A name from `GET /models`, as in `muse` or `muse@1`.")


class SuperResolveOptions(PictureOptions):
    """Options of `/super-resolve`."""

    factor: int = Field(4, ge=2, le=64, description="Of enlargement; there must be a model for it.")


def _pipeline(request: Request) -> Pipeline:
    pipeline: Pipeline = request.app.state.pipeline
    return pipeline


def _store(request: Request) -> Store:
    store: Store = request.app.state.store
    return store


PipelineDependency = Annotated[Pipeline, Depends(_pipeline)]
StoreDependency = Annotated[Store, Depends(_store)]


def _documented(*kinds: type[problems.Problem]) -> dict[int | str, dict[str, Any]]:
    """OpenAPI entries for problems, one for each status."""
    titles: dict[int, list[str]] = {}
    for kind in kinds:
        titles.setdefault(kind.status, []).append(kind.title)
    schema = {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}
    return {
        status: {"description": ", ".join(each), "model": problems.ProblemDocument, "content": {MEDIA_TYPE: schema}}
        for status, each in titles.items()
    }


_PICTURE_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The picture.", "content": {each: {} for each in codec.MEDIA_TYPES.values()}},
    **_documented(
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
    ),
}


@router.post(
    "/stylize", response_class=Response, responses=_PICTURE_ANSWERS, openapi_extra=OPENAPI_BODY, tags=["pictures"]
)
async def stylize(request: Request, options: Annotated[StylizeOptions, Query()]) -> Response:
    """Paints a photo in a style; the answer has the photo's size."""
    return await _transform(request, "stylize", options.style, options)


@router.post(
    "/super-resolve", response_class=Response, responses=_PICTURE_ANSWERS, openapi_extra=OPENAPI_BODY, tags=["pictures"]
)
async def super_resolve(request: Request, options: Annotated[SuperResolveOptions, Query()]) -> Response:
    """Enlarges a picture by a whole factor."""
    return await _transform(request, "super-resolve", name_of_factor(options.factor), options)


@router.get("/models", tags=["models"])
async def models(store: StoreDependency) -> list[Card]:
    """The cards of all models, each in its newest version."""
    return await run_in_threadpool(store.cards)


@router.get(
    "/models/{task}/{name}",
    responses=_documented(problems.BadOption, problems.UnknownModel, problems.DamagedWeights),
    tags=["models"],
)
async def model(
    store: StoreDependency, task: Task, name: Annotated[str, Path(description="As in `muse` or `muse@1`.")]
) -> Card:
    """The card of one model."""
    try:
        return await run_in_threadpool(lambda: store.card(task, *parse_label(name)))
    except (ModelNotFound, BadLabel) as error:
        raise problems.UnknownModel(str(error)) from error
    except DamagedModel as error:
        raise problems.DamagedWeights(str(error)) from error


@router.get("/livez", responses=_documented(problems.DeviceLost), tags=["health"])
async def livez(pipeline: PipelineDependency) -> dict[str, str]:
    """Whether this process can still serve; if not, restart it."""
    if not pipeline.engine.is_alive:
        raise problems.DeviceLost("the device is lost: restart the server")
    return {"status": "live"}


@router.get("/readyz", responses=_documented(problems.Unavailable), tags=["health"])
async def readyz(pipeline: PipelineDependency) -> dict[str, str]:
    """Whether to send requests here."""
    await livez(pipeline)
    return {"status": "ready"}


@router.get("/", include_in_schema=False)
async def root() -> RedirectResponse:
    """Shows the documentation."""
    return RedirectResponse("/docs")


async def _transform(request: Request, task: Task, label: str, options: PictureOptions) -> Response:
    """Admits, reads, computes and answers."""
    state = request.app.state
    admission: Admission = state.admission
    settings: Settings = state.settings
    with admission.admit():
        data = await read_upload(request, settings.upload_timeout_s)
        work = _pipeline(request).run(task, label, data, options.format, options.quality)
        answer = await unless_disconnected(request, work)
    stages = (f"{stage};dur={seconds * 1000:.1f}" for stage, seconds in answer.timing.items())
    headers = {"X-Model": answer.model, "ETag": f'"{answer.etag}"', "Server-Timing": ", ".join(stages)}
    return Response(answer.content, media_type=answer.media_type, headers=headers)
