"""The command `impasto serve`."""

import os
import signal
import sys
import tempfile
from functools import partial
from typing import Annotated

import typer

from service.cli.large_pages import ask_for_large_pages

_LONGEST_PAUSE_S = 30
"""Seconds after which a worker that does not respond is replaced; loading torch from a cold disk takes some."""


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all addresses.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for a free one.")] = 8000,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that share the port and the device; IMPASTO_WORKERS if not given."),
    ] = None,
    grace: Annotated[int, typer.Option(min=0, help="Seconds to finish accepted requests after SIGTERM.")] = 30,
) -> None:
    """Serve over HTTP; settings come from the environment (IMPASTO_…)."""
    # Before anything else: without a handler, process 1 of a container ignores a SIGTERM that comes while it imports
    # torch. And uvicorn, once it has stopped on SIGTERM, raises it again: this makes that exit code 0.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ask_for_large_pages()
    from service.server import processes as serving
    from service.server.app import create_app
    from service.server.settings import Settings
    from service.server.telemetry import logs

    if workers is not None:
        os.environ["IMPASTO_WORKERS"] = str(workers)
    # Made here for several workers, too: an error in the settings is reported once, before any worker starts.
    settings = Settings()
    app = create_app(settings, on_device_lost=serving.end_for_lost_device)
    configure = partial(
        serving.configure,
        settings=settings,
        host=host,
        port=port,
        log_config=logs.configuration(settings.log_format, settings.log_level),
    )
    if settings.workers == 1:
        serving.serve_alone(configure(app), grace)
        return
    with tempfile.TemporaryDirectory(prefix="impasto-metrics-") as folder:
        os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", folder)
        config = configure(
            "service.server.processes:create_worker_app",
            factory=True,
            workers=settings.workers,
            timeout_worker_healthcheck=_LONGEST_PAUSE_S,
        )
        serving.serve_by_workers(config, grace)
