"""What the routes work with."""

from typing import Annotated, NamedTuple

from fastapi import Depends, Request

from model_store.store import Store
from service.pipeline.pipeline import Answer, Pipeline
from service.server.limits.admission import Admission
from service.server.limits.api_keys import Key
from service.server.limits.coalescing import Coalescing
from service.server.settings import Settings
from service.server.telemetry.metrics import Metrics


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
