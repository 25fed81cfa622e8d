"""The routes that describe models: their cards and previews."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response
from pydantic import Field

from model_store.card import TASKS, Card, Task, parse_label
from model_store.errors import BadLabel, DamagedModel, ModelNotFound
from service.contract import problems
from service.models.loaded import Models
from service.server.cache_control import ASK_AGAIN, FOREVER
from service.server.openapi import CARD_ANSWERS, CARDS_ANSWERS, PREVIEW_ANSWERS
from service.server.state import StateDependency

router = APIRouter(tags=["models"])
"""Routes that ask for an API key on a server that has keys."""
preview_router = APIRouter(tags=["models"])
"""Route that asks for no API key."""


async def _task(task: Annotated[str, Path(json_schema_extra={"enum": list(TASKS)}, examples=["stylize"])]) -> Task:
    for known in TASKS:
        if task == known:
            return known
    raise problems.UnknownModel(f"there is no task {task!r}; known: {', '.join(TASKS)}")


KnownTask = Annotated[Task, Depends(_task)]
ModelName = Annotated[
    str, Path(description="Name of a model, or one of its versions: `muse` or `muse@1`.", examples=["muse@1"])
]


class ListedModel(Card):
    """The card of a model's newest version, and which version this server serves."""

    served_version: int = Field(description="Version that answers requests without a version.")
    loaded: bool = Field(description="Whether that version is on the device, ready for use.")


@router.get("/models", responses=CARDS_ANSWERS)
def models(state: StateDependency, response: Response) -> list[ListedModel]:
    """Return the cards of all models, each in its newest version, and which version is served."""
    response.headers["Cache-Control"] = ASK_AGAIN
    return [_listed(card, state.models) for card in state.store.cards()]


@router.get("/models/{task}/{name}", responses=CARD_ANSWERS)
def model(state: StateDependency, task: KnownTask, name: ModelName, response: Response) -> Card:
    """Return the card of one model."""
    with _as_problems():
        name, version = parse_label(name)
        response.headers["Cache-Control"] = _cache_control(version)
        return state.store.card(task, name, version)


@preview_router.get("/models/{task}/{name}/preview", response_class=Response, responses=PREVIEW_ANSWERS)
def preview(state: StateDependency, task: KnownTask, name: ModelName) -> Response:
    """Return a small picture that shows what a model does."""
    with _as_problems():
        name, version = parse_label(name)
        picture = state.store.preview(task, name, version)
    if picture is None:
        raise problems.UnknownModel(f"{task}/{name} has no preview")
    return Response(picture, media_type="image/jpeg", headers={"Cache-Control": _cache_control(version)})


def _cache_control(version: int | None) -> str:
    """Return what caches may do: a version never changes, but a name may stand for another version soon."""
    return ASK_AGAIN if version is None else FOREVER


def _listed(card: Card, models: Models) -> ListedModel:
    served = models.served_version(card.task, card.name) or card.version
    loaded = models.is_loaded(card.task, card.name, served)
    return ListedModel(**card.model_dump(), served_version=served, loaded=loaded)


@contextmanager
def _as_problems() -> Iterator[None]:
    """Turn errors of the store into problems."""
    try:
        yield
    except (ModelNotFound, BadLabel) as error:
        raise problems.UnknownModel(str(error)) from error
    except DamagedModel as error:
        raise problems.DamagedWeights(str(error)) from error
