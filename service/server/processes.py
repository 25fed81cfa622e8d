"""The processes of a server: one alone, or several workers below a parent.

Told to stop, by SIGTERM or SIGINT, uvicorn lets nobody in any more, finishes what was accepted, and gives up what is
not done when the grace is over. Added here: threads that still compute, for nobody, do not keep the process then; where
there are workers, a new client is refused instead of kept waiting for the parent's end; and who cannot start says so by
the exit code.
"""

import logging
import os
import socket
import sys
import threading
import time
from contextlib import suppress

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

_MARGIN_S = 2.0
"""After the grace, to answer those who were given up and to put things away."""
_log = logging.getLogger(__name__)


def serve_alone(config: uvicorn.Config, grace: int) -> None:
    """Serves from this process until it is told to stop.

    Args:
        config: with the app itself.
        grace: seconds to finish what was accepted.

    Raises:
        SystemExit: it could not start.
    """
    server = _Server(config, grace)
    with suppress(KeyboardInterrupt):  # which uvicorn raises again when it has stopped
        server.run()
    if not server.started:
        sys.exit(STARTUP_FAILURE)


def serve_by_workers(config: uvicorn.Config, grace: int) -> None:
    """Serves from processes below this one, and replaces those that die, until it is told to stop.

    Args:
        config: with the name of what makes the app.
        grace: seconds to finish what was accepted.

    Raises:
        SystemExit: one could not start.
    """
    workers = _Workers(config, grace)
    workers.run()
    if any(worker.exitcode == STARTUP_FAILURE for worker in workers.processes):
        sys.exit(STARTUP_FAILURE)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, grace: int) -> None:
        config.timeout_graceful_shutdown = grace
        super().__init__(config)
        self._leaving = threading.Timer(grace + _MARGIN_S, _leave)
        self._leaving.daemon = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._leaving.start()
        await super().shutdown(sockets)


def _leave() -> None:
    _log.warning("the grace is over: what is still computed is given up")
    os._exit(0)


class _Workers(Multiprocess):
    def __init__(self, config: uvicorn.Config, grace: int) -> None:
        config.timeout_graceful_shutdown = grace
        super().__init__(config, [config.bind_socket()])
        self._grace = grace

    def keep_subprocess_alive(self) -> None:
        for worker in self.processes:  # or one that dies while it is asked for a sign of life is waited for
            worker.child_conn.close()
        super().keep_subprocess_alive()

    def terminate_all(self) -> None:
        for each in self.sockets:  # or clients would still be let in, for nobody
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
