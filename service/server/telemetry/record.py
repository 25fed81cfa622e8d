"""The record of a request, filled in while it is served, for the log and the metrics."""

from dataclasses import dataclass, field
from typing import Any, cast

from starlette.requests import HTTPConnection
from starlette.types import Scope

from service.pipeline.answer import Answer
from service.server.limits.api_keys import Key

_NAME = "record"


@dataclass
class RequestRecord:
    """The record of one request; each part of the server adds what it learns about the request."""

    id: str
    """Id of the request, from the client or a new one."""
    key: Key | None = None
    """API key of the request, if the server asks for one."""
    problem: str | None = None
    """Name of the problem that was answered, if any."""
    answer: Answer | None = None
    """Picture that was answered, if the request had one alone."""

    fields: dict[str, Any] = field(default_factory=dict)
    """Further fields of its line in the log."""

    @classmethod
    def begin(cls, scope: Scope, request_id: str) -> "RequestRecord":
        """Make the record of a request, and keep it in the scope."""
        record = cls(request_id)
        scope.setdefault("state", {})[_NAME] = record
        return record

    @classmethod
    def of(cls, connection: HTTPConnection) -> "RequestRecord":
        """Return the record of the request that is being served."""
        return cls.in_scope(connection.scope)

    @classmethod
    def in_scope(cls, scope: Scope) -> "RequestRecord":
        """Return the record that `begin` kept in the scope."""
        return cast("RequestRecord", scope["state"][_NAME])
