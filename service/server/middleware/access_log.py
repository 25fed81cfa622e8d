"""The access log: each request becomes a line in the log, and is counted in the metrics."""

import logging
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.contract.problems import InternalError
from service.server.telemetry.metrics import Metrics
from service.server.telemetry.record import RequestRecord

QUIET_ROUTES = frozenset({"/livez", "/readyz", "/metrics"})
"""Routes that load balancers and monitoring call again and again; they are logged at DEBUG and not traced."""
_NO_ROUTE = "other"
"""Route that the log and the metrics give for the documentation and for unknown paths."""
_LONGEST_PATH = 200
"""Largest number of characters of a path in the log."""
_log = logging.getLogger(__name__)


class AccessLogMiddleware:
    """Middleware that measures each request, and reports it to the log and to the app's metrics."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        received = sent = 0
        status = InternalError.status  # the answer that is sent further out if an exception is raised here

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        async def send_counted(message: Message) -> None:
            nonlocal sent, status
            status = message.get("status", status)
            sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive_counted, send_counted)
        except Exception:
            RequestRecord.in_scope(scope).problem = InternalError.name
            raise
        finally:
            _report(scope, status, received, sent, time.perf_counter() - started)


def _report(scope: Scope, status: int, received: int, sent: int, seconds: float) -> None:
    metrics: Metrics = scope["app"].state.server.metrics
    record = RequestRecord.in_scope(scope)
    route = getattr(scope.get("route"), "path", _NO_ROUTE)
    metrics.request_answered(route, status, record.problem, seconds)

    fields: dict[str, Any] = {"method": scope["method"], "route": route, "status": status}
    if record.key is not None:
        metrics.key_used(record.key.name, status)
        fields["key"] = record.key.name
    if scope["path"] != route:
        fields["path"] = scope["path"][:_LONGEST_PATH]
    if record.problem is not None:
        fields["problem"] = record.problem
    if scope.get("client") is not None:
        fields["client"] = scope["client"][0]
    fields |= {"bytes_in": received, "bytes_out": sent, "seconds": round(seconds, 4)}
    fields |= record.fields
    answer = record.answer
    if answer is not None:
        fields |= {"model": answer.model, "size": f"{answer.width}x{answer.height}", "batch": answer.batch}
        fields |= {f"{stage.name}_ms": round(stage.seconds * 1000, 1) for stage in answer.stages}
    _log.log(_level(route, status), "answered", extra={"fields": fields})


def _level(route: str, status: int) -> int:
    if route in QUIET_ROUTES:
        return logging.DEBUG
    return logging.WARNING if status >= InternalError.status else logging.INFO
