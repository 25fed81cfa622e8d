"""What is gathered about a request while it is served, for the log and the metrics."""

from dataclasses import dataclass
from typing import cast

from starlette.requests import HTTPConnection
from starlette.types import Scope

from service.pipeline.answer import Answer
from service.server.limits.api_keys import Key

_NAME = "record"


@dataclass
class RequestRecord:
    """One request; filled in by whatever learns more of it."""

    id: str
    """The request's id, from the client or a new one."""
    key: Key | None = None
    """The API key that the request came with, if the server asks for one."""
    problem: str | None = None
    """Name of the problem that was answered."""
    answer: Answer | None = None
    """The picture that was answered, where it was one alone."""

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
