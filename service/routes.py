"""The HTTP routes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from pydantic import Field

from model_store.card import Card, Task, parse_label
from model_store.errors import BadLabel, DamagedModel, ModelNotFound
from model_store.store import Store
from service import problems, tracing
from service.admission import Admission
from service.deadline import HEADER as DEADLINE_HEADER
from service.deadline import deadline
from service.disconnect import unless_disconnected
from service.metrics import Metrics
from service.models import Models
from service.openapi import (
    CARD_ANSWERS,
    METRICS_ANSWERS,
    PICTURE_BODY,
    TRANSFORM_ANSWERS,
    picture_answers,
    problem_answers,
)
from service.options import Options, StylizeOptions, SuperResolveOptions
from service.pipeline import Pipeline
from service.settings import Settings
from service.upload import read_upload

router = APIRouter()


class Parts(NamedTuple):
    """What the routes work with; one for each app."""

    settings: Settings
    store: Store
    pipeline: Pipeline
    admission: Admission
    metrics: Metrics


async def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


PartsDependency = Annotated[Parts, Depends(_parts)]
ModelName = Annotated[str, Path(description="As in `muse` or `muse@1`.")]
DeadlineMs = Annotated[
    int | None,
    Header(
        alias=DEADLINE_HEADER,
        gt=0,
        description="Milliseconds from the request's arrival after which its answer is of no more use; 504 then. The "
        "server may allow less.",
    ),
]


@router.post(
    "/stylize", response_class=Response, responses=TRANSFORM_ANSWERS, openapi_extra=PICTURE_BODY, tags=["pictures"]
)
async def stylize(
    request: Request,
    parts: PartsDependency,
    options: Annotated[StylizeOptions, Query()],
    deadline_ms: DeadlineMs = None,
) -> Response:
    """Paints a photo in a style; the answer has the photo's size."""
    return await _transform(request, parts, deadline_ms, options)


@router.post(
    "/super-resolve",
    response_class=Response,
    responses=TRANSFORM_ANSWERS,
    openapi_extra=PICTURE_BODY,
    tags=["pictures"],
)
async def super_resolve(
    request: Request,
    parts: PartsDependency,
    options: Annotated[SuperResolveOptions, Query()],
    deadline_ms: DeadlineMs = None,
) -> Response:
    """Enlarges a picture by a whole factor."""
    return await _transform(request, parts, deadline_ms, options)


class ListedModel(Card):
    """The card of a model's newest version, and what this server makes of it."""

    served_version: int = Field(description="What a request gets that names no version.")
    loaded: bool = Field(description="Whether that version is on the device, ready for use.")


@router.get("/models", tags=["models"])
def models(parts: PartsDependency) -> list[ListedModel]:
    """The cards of all models, each in its newest version, and which version is served."""
    return [_listed(card, parts.pipeline.models) for card in parts.store.cards()]


@router.get("/models/{task}/{name}", responses=CARD_ANSWERS, tags=["models"])
def model(parts: PartsDependency, task: Task, name: ModelName) -> Card:
    """The card of one model."""
    with _as_problems():
        return parts.store.card(task, *parse_label(name))


@router.get(
    "/models/{task}/{name}/preview",
    response_class=Response,
    responses=picture_answers("image/jpeg") | CARD_ANSWERS,
    tags=["models"],
)
def preview(parts: PartsDependency, task: Task, name: ModelName) -> Response:
    """A small picture that shows what a model does."""
    with _as_problems():
        picture = parts.store.preview(task, *parse_label(name))
    if picture is None:
        raise problems.UnknownModel(f"{task}/{name} has no preview")
    return Response(picture, media_type="image/jpeg")


@router.get("/livez", responses=problem_answers(problems.DeviceLost), tags=["health"])
async def livez(parts: PartsDependency) -> dict[str, str]:
    """Whether this process can still serve; if not, restart it."""
    if not parts.pipeline.engine.is_alive:
        raise problems.DeviceLost("the device is lost: restart the server")
    return {"status": "live"}


@router.get("/readyz", responses=problem_answers(problems.Unavailable, problems.DeviceLost), tags=["health"])
async def readyz(parts: PartsDependency) -> dict[str, str]:
    """Whether to send requests here."""
    await livez(parts)
    if not parts.pipeline.is_ready:
        raise problems.Unavailable("the server is starting and loads models: wait until it is ready", 1)
    return {"status": "ready"}


@router.get("/metrics", response_class=Response, responses=METRICS_ANSWERS, tags=["health"])
def metrics(request: Request, parts: PartsDependency) -> Response:
    """What Prometheus scrapes."""
    content, media_type = parts.metrics.render(request.headers.get("Accept", ""))
    return Response(content, headers={"Content-Type": media_type})


def _listed(card: Card, models: Models) -> ListedModel:
    served = models.served_version(card.task, card.name) or card.version
    loaded = models.is_loaded(card.task, card.name, served)
    return ListedModel(**card.model_dump(), served_version=served, loaded=loaded)


async def _transform(request: Request, parts: Parts, deadline_ms: int | None, options: Options) -> Response:
    """Admits, reads, computes and answers."""
    settings = parts.settings
    async with deadline(settings.deadline_s, deadline_ms):
        with parts.admission.admit() as take_pixels, parts.metrics.in_flight():
            data = await read_upload(request, settings.upload_timeout_s)
            work = parts.pipeline.run(options.accepting(request.headers.get("Accept", "")), data, take_pixels)
            answer = await unless_disconnected(request, work)
    request.state.answer = answer
    parts.metrics.picture_made(options.task, answer)
    tracing.record(answer)
    stages = (f"{stage.name};dur={stage.seconds * 1000:.1f}" for stage in answer.stages)
    headers = {"X-Model": answer.model, "ETag": f'"{answer.etag}"', "Server-Timing": ", ".join(stages)}
    if answer.frames > 1:
        headers["X-Frames"] = str(answer.frames)
    return Response(answer.content, media_type=answer.media_type, headers=headers)


@contextmanager
def _as_problems() -> Iterator[None]:
    """Turns what the store raises into problems."""
    try:
        yield
    except (ModelNotFound, BadLabel) as error:
        raise problems.UnknownModel(str(error)) from error
    except DamagedModel as error:
        raise problems.DamagedWeights(str(error)) from error
