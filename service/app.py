"""The FastAPI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

import torch
from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

from model_store.settings import StoreSettings
from model_store.store import Store
from service import error_handlers, live, playground
from service.access import QUIET_ROUTES, AccessMiddleware
from service.admission import Admission
from service.body_limit import BodyLimitMiddleware
from service.device import choose_device
from service.metrics import Metrics
from service.pipeline import Pipeline
from service.request_id import RequestIdMiddleware
from service.routes import Parts, router
from service.settings import Settings
from service.upkeep import parse_preload


def create_app(settings: Settings | None = None, store: Store | None = None) -> FastAPI:
    """Makes the service.

    Args:
        settings: of all workers together; from the environment if not given.
        store: from the environment if not given.

    Raises:
        ImpastoError: the device of the settings is not there, or a model that is to be preloaded.
    """
    settings = (settings or Settings()).of_one_worker()
    store = store or StoreSettings().open()
    device = choose_device(settings.device)
    preload = parse_preload(settings.preload, store)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if settings.workers > 1:
            torch.set_num_threads(max(1, torch.get_num_threads() // settings.workers))
        metrics = Metrics(device)
        pipeline = Pipeline(store, device, settings, metrics)
        pipeline.start(preload)
        admission = Admission(settings.max_in_flight, settings.max_pixels_in_flight, metrics)
        app.state.parts = Parts(settings, store, pipeline, admission, metrics)
        yield
        await run_in_threadpool(pipeline.close)
        metrics.close()

    app = FastAPI(
        title="Impasto",
        summary="Paints photos in a style and enlarges small pictures.",
        version=version("impasto"),
        lifespan=lifespan,
        redoc_url=None,
        # FastAPI makes the span of a request, and sends it to wherever the process is set up for.
        telemetry={"operation_spans": False, "exclude": lambda scope: scope["path"] in QUIET_ROUTES},
    )
    app.include_router(router)
    app.include_router(live.router)
    app.include_router(playground.router)
    app.add_middleware(BodyLimitMiddleware, limit=settings.max_upload_bytes, drain_s=settings.upload_timeout_s)
    app.add_middleware(AccessMiddleware)
    app.add_middleware(RequestIdMiddleware)
    error_handlers.install(app)
    return app
