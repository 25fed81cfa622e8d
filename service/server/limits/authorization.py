"""Asks for an API key, `Authorization: Bearer`, where the server has any.

All routes are behind it but health, which load balancers ask for, the documentation, and the previews, which a page
shows by `<img>`. Metrics are, because they tell who calls: Prometheus can send a key (`authorization: credentials`).
"""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import HTTPConnection

from service.contract.problems import Unauthorized
from service.server.limits.api_keys import Key, find
from service.server.state import StateDependency
from service.server.telemetry.record import RequestRecord

_bearer = HTTPBearer(auto_error=False, scheme_name="key", description="An API key of this server.")


def key_of(connection: HTTPConnection, keys: Sequence[Key]) -> Key:
    """Return the key that a request or a WebSocket came with.

    Args:
        connection: The request; its body is not touched.
        keys: The keys that may call.

    Raises:
        Unauthorized: It came without a key, or with one that is not among these.
    """
    scheme, _, text = connection.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not text:
        raise Unauthorized("this server asks for an API key: send it as the header 'Authorization: Bearer KEY'")
    key = find(keys, text)
    if key is None:
        raise Unauthorized("this API key is not one of this server's: check it, or ask for another")
    return key


async def authorize(
    request: Request,
    state: StateDependency,
    _documented: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> None:
    """Put the request's key into its record, before anything of the body is read.

    Raises:
        Unauthorized: See `key_of`.
    """
    RequestRecord.of(request).key = key_of(request, state.keys)
