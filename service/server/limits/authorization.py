"""Authorization by an API key, `Authorization: Bearer KEY`, on a server that has keys.

All routes ask for a key but health, which load balancers call, the documentation, the playground, and the previews,
which a page shows by `<img>`. Metrics ask for one, because they name the callers: Prometheus can send a key
(`authorization: credentials`). Live painting checks the key itself, once the WebSocket is open.
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
    """Return the API key of a request or a WebSocket.

    Args:
        connection: Request or WebSocket; its body is not read.
        keys: API keys that may call.

    Raises:
        Unauthorized: The request has no key, or one that is not among these.
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
    """Put the API key of a request into its record, before anything of the body is read.

    Raises:
        Unauthorized: See `key_of`.
    """
    RequestRecord.of(request).key = key_of(request, state.keys)
