"""The processes of a server: one alone, or several workers below a parent.

Told to stop, by SIGTERM or SIGINT, uvicorn accepts no more connections, finishes the accepted requests, and cancels
those that are not done when the grace is over. This file adds four things: threads that still compute for cancelled
requests do not keep the process alive; with workers, a new client is refused instead of kept waiting for the end of the
parent; a server that cannot start says so by its exit code; and a process whose device is lost ends by itself, for
whoever started it to start it again, because nobody does that for one that only answers that it is ill.
"""

import asyncio
import atexit
import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from typing import Any, cast

import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from service.server.app import create_app
from service.server.connections.http import HttpProtocol
from service.server.connections.websocket import WebSocketProtocol
from service.server.routes.live import MOST_FRAME_BYTES
from service.server.settings import Settings

DEVICE_LOST = 4
"""The exit code of a server that ended because its device is lost."""
_MARGIN_S = 2.0
"""Seconds after the grace in which cancelled requests are answered and resources released."""
_MOST_FAREWELL_S = 60.0
"""Seconds in which a worker that lost its device answers what it accepted."""
_device_is_lost = threading.Event()
_log = logging.getLogger(__name__)


def end_for_lost_device() -> None:
    """Have this process end as on SIGTERM, for an app whose device is lost; any thread may call it.

    What was accepted is answered first. `serve_alone` then leaves by `DEVICE_LOST`; a worker dies of the signal, and is
    replaced by its parent.
    """
    _log.error("the device is lost: this process ends, to be started again")
    _device_is_lost.set()
    farewell = threading.Timer(_MOST_FAREWELL_S, os._exit, [DEVICE_LOST])
    farewell.daemon = True
    farewell.start()
    os.kill(os.getpid(), signal.SIGTERM)


def create_worker_app() -> FastAPI:
    """Make the app of a worker process."""
    app = create_app(on_device_lost=end_for_lost_device)
    _spare_collections()
    return app


def configure(app: FastAPI | str, settings: Settings, **options: Any) -> uvicorn.Config:
    """Return the configuration of uvicorn.

    Args:
        app: The app, or the name of a function that makes it.
        settings: Settings of all workers together.
        options: Further arguments of `uvicorn.Config`.
    """
    limits = settings.of_one_worker().connections
    return uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", partial(HttpProtocol, limits=limits)),
        ws=cast("type[asyncio.Protocol]", partial(WebSocketProtocol, limits=limits)),
        timeout_keep_alive=settings.idle_timeout_s,
        ws_max_size=MOST_FRAME_BYTES,
        ws_per_message_deflate=False,  # frames are compressed already
        **options,
    )


def serve_alone(config: uvicorn.Config, grace: int) -> None:
    """Serve from this process until it is told to stop.

    Args:
        config: Configuration of uvicorn, with the app itself.
        grace: Seconds to finish accepted requests.

    Raises:
        SystemExit: The server could not start.

    The process ends by `DEVICE_LOST` where the device was lost.
    """
    server = _Server(config, grace)
    _spare_collections()
    with suppress(KeyboardInterrupt):  # uvicorn raises it again once it has stopped
        server.run()
    if not server.started:
        sys.exit(STARTUP_FAILURE)


def serve_by_workers(config: uvicorn.Config, grace: int) -> None:
    """Serve from several worker processes, and replace those that die, until this process is told to stop.

    Args:
        config: Configuration of uvicorn, with the name of the function that makes the app.
        grace: Seconds to finish accepted requests.

    Raises:
        SystemExit: A worker could not start.
    """
    workers = _Workers(config, grace)
    workers.run()
    if any(worker.exitcode == STARTUP_FAILURE for worker in workers.processes):
        sys.exit(STARTUP_FAILURE)


def _spare_collections() -> None:
    """Keep the garbage collector from going through what stays: all modules, for 0.1 s in which nothing is answered."""
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)  # libraries complain of what is left over at the end


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, grace: int) -> None:
        config.timeout_graceful_shutdown = grace
        super().__init__(config)
        self._exit_timer = threading.Timer(grace + _MARGIN_S, _exit)
        self._exit_timer.daemon = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._exit_timer.start()
        await super().shutdown(sockets)
        if _device_is_lost.is_set():
            os._exit(DEVICE_LOST)  # at once: torch cannot release what it has on a lost device


def _exit() -> None:
    _log.warning("the grace is over: what is still computed is given up")
    os._exit(DEVICE_LOST if _device_is_lost.is_set() else 0)


class _Workers(Multiprocess):
    def __init__(self, config: uvicorn.Config, grace: int) -> None:
        config.timeout_graceful_shutdown = grace
        super().__init__(config, [config.bind_socket()])
        self._grace = grace

    def keep_subprocess_alive(self) -> None:
        for worker in self.processes:  # otherwise the health check of a worker that dies meanwhile would hang
            worker.child_conn.close()
        super().keep_subprocess_alive()

    def terminate_all(self) -> None:
        for each in self.sockets:  # otherwise clients could still connect, with no worker left to serve them
            each.close()
        super().terminate_all()

    def join_all(self) -> None:
        end = time.monotonic() + self._grace + _MARGIN_S
        for worker in self.processes:
            worker.process.join(max(0.0, end - time.monotonic()))
            if worker.exitcode is None:
                _log.warning("the grace is over: what worker [%d] still computes is given up", worker.pid)
                worker.kill()
        super().join_all()
