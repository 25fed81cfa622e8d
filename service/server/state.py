"""The state of one app: the objects that its routes work with."""

from typing import Annotated, NamedTuple, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from model_store.store import Store
from service.engine.engine import Engine
from service.models.loaded import Models
from service.models.upkeep import Upkeep
from service.pipeline.answer import Answer
from service.pipeline.pipeline import Pipeline
from service.server.limits.admission import Admission
from service.server.limits.api_keys import Key
from service.server.limits.coalescing import Coalescing
from service.server.limits.films import Films
from service.server.limits.live_connections import LiveConnections
from service.server.limits.upload_memory import UploadMemory
from service.server.settings import Settings
from service.server.telemetry.metrics import Metrics


class State(NamedTuple):
    """The state of one app, kept as `app.state.server`."""

    settings: Settings
    keys: tuple[Key, ...]
    """API keys that may call; empty if no key is asked for."""
    store: Store
    models: Models
    upkeep: Upkeep
    engine: Engine
    pipeline: Pipeline
    admission: Admission
    live: LiveConnections
    uploads: UploadMemory
    films: Films
    in_flight: Coalescing[Answer]
    """Pictures that are being made, by the ETags of their answers."""
    metrics: Metrics

    @classmethod
    def of(cls, connection: HTTPConnection) -> "State":
        """Return the state of the app that serves a request or a WebSocket."""
        return cast("State", connection.app.state.server)


async def _state(connection: HTTPConnection) -> State:
    return State.of(connection)


StateDependency = Annotated[State, Depends(_state)]
