"""The FastAPI application of the server."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware

from model_store.settings import StoreSettings
from model_store.store import Store
from service.device.device import choose_device, share_cores
from service.models.upkeep import Upkeep, parse_preload
from service.pipeline.answer import Answer
from service.pipeline.runtime import Runtime
from service.server import error_handlers, openapi
from service.server.limits import api_keys
from service.server.limits.admission import Admission
from service.server.limits.authorization import authorize
from service.server.limits.coalescing import Coalescing
from service.server.limits.films import Films
from service.server.limits.live_connections import LiveConnections
from service.server.limits.upload_memory import UploadMemory
from service.server.middleware.access_log import QUIET_ROUTES, AccessLogMiddleware
from service.server.middleware.body_limit import BodyLimitMiddleware
from service.server.middleware.conditional_get import ConditionalGetMiddleware
from service.server.middleware.request_id import RequestIdMiddleware
from service.server.routes import health, live, models, pictures, playground
from service.server.settings import Settings
from service.server.state import State
from service.server.telemetry.metrics import Metrics
from service.video.recognition import films_can_be_made

_LIVE_PER_PLACE = 4
"""Largest number of live connections for each place of a request; they hold one only while a frame is painted."""
_FRAMES_AHEAD = 4
"""Largest number of frames of films that wait for the lanes of the device, so that pictures can go in between."""
_HEADERS_IN = ("Authorization", "If-None-Match", "X-Deadline-Ms", "X-Request-ID")
"""Headers that a page of another origin may send, beyond those that CORS always allows."""
_HEADERS_OUT = ("ETag", "Retry-After", "Server-Timing", "X-Frames", "X-Model", "X-Notes", "X-Request-ID", "X-Truncated")
"""Headers that a page of another origin may read, beyond those that CORS always allows."""


def create_app(
    settings: Settings | None = None,
    store: Store | None = None,
    *,
    on_device_lost: Callable[[], None] = lambda: None,
) -> FastAPI:
    """Make the app of the server.

    Args:
        settings: Settings of all workers together; if not given, from the environment.
        store: Store of the models; if not given, the one that the environment names.
        on_device_lost: Called on a thread of the engine once nothing will be computed any more.

    Raises:
        ImpastoError: The settings name a device or a model to preload that does not exist, or API keys that cannot be
            read.
    """
    settings = (settings or Settings()).of_one_worker()
    known_keys = tuple(key.of_one_worker(settings.workers) for key in api_keys.parse(settings.api_keys))
    store = store or StoreSettings().open()
    device = choose_device(settings.device)
    preload = parse_preload(settings.preload, store)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        share_cores(settings.workers)
        metrics = Metrics(device)
        runtime = Runtime(store, device, settings, settings.workers, metrics)
        runtime.engine.lost.add_done_callback(lambda _: on_device_lost())
        upkeep = Upkeep(runtime.models, preload, settings.store_refresh_s)
        frames = runtime.capacity.lanes + min(runtime.capacity.batch, _FRAMES_AHEAD)
        max_pixels = settings.max_pixels_in_flight or runtime.capacity.pixels_in_flight
        app.state.server = State(
            settings=settings,
            keys=known_keys,
            store=store,
            models=runtime.models,
            upkeep=upkeep,
            engine=runtime.engine,
            pipeline=runtime.pipeline,
            admission=Admission(settings.max_in_flight, max_pixels, metrics),
            live=LiveConnections(_LIVE_PER_PLACE * settings.max_in_flight, metrics),
            uploads=UploadMemory(settings.max_upload_bytes_in_flight, metrics),
            films=Films(settings.max_videos_in_flight, settings.max_video_bytes, frames, metrics),
            in_flight=Coalescing[Answer](metrics.request_coalesced),
            metrics=metrics,
        )
        yield
        await run_in_threadpool(upkeep.close)
        await run_in_threadpool(runtime.close)
        metrics.close()

    app = FastAPI(
        title="Impasto",
        summary="Paints photos in a style and enlarges small pictures.",
        description=openapi.DESCRIPTION,
        openapi_tags=openapi.TAGS,
        servers=[{"url": "/", "description": "This server."}],
        generate_unique_id_function=lambda route: route.name,
        version=version("impasto"),
        lifespan=lifespan,
        redoc_url=None,
        # FastAPI makes a span for each request; where it is sent is up to the environment of the process.
        telemetry={"operation_spans": False, "exclude": lambda scope: scope["path"] in QUIET_ROUTES},
    )
    guard: dict[str, Any] = (
        {"dependencies": [Depends(authorize)], "responses": openapi.AUTHORIZATION_ANSWERS} if known_keys else {}
    )
    for_everybody = (health.router, models.preview_router, live.router, playground.router)
    for_known_keys = (pictures.router, models.router, health.metrics_router)
    for router in for_everybody:
        app.include_router(router)
    for router in for_known_keys:
        app.include_router(router, **guard)
    film_limit = settings.max_video_bytes if films_can_be_made() else 0
    app.add_middleware(BodyLimitMiddleware, limit=settings.max_upload_bytes, film_limit=film_limit)
    app.add_middleware(ConditionalGetMiddleware)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=[origin.strip() for origin in settings.cors_origins.split(",")],
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=_HEADERS_IN,
            expose_headers=_HEADERS_OUT,
        )
    app.add_middleware(AccessLogMiddleware)
    app.add_middleware(RequestIdMiddleware)
    error_handlers.install(app)
    openapi.install(app, settings.max_pictures_per_request)
    return app
