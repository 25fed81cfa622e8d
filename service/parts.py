"""What the routes work with."""

from typing import Annotated, NamedTuple

from fastapi import Depends, Request

from model_store.store import Store
from service.admission import Admission
from service.coalescing import Coalescing
from service.keys import Key
from service.metrics import Metrics
from service.pipeline import Answer, Pipeline
from service.settings import Settings


class Parts(NamedTuple):
    """One for each app."""

    settings: Settings
    keys: tuple[Key, ...]
    """Empty where everybody may call."""
    store: Store
    pipeline: Pipeline
    admission: Admission
    in_flight: Coalescing[Answer]
    metrics: Metrics


async def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


PartsDependency = Annotated[Parts, Depends(_parts)]
