"""Asks for an API key, `Authorization: Bearer`, where the server has any.

All routes are behind it but health, which load balancers ask for, the documentation, and the previews, which a page
shows by `<img>`. Metrics are, because they tell who calls: Prometheus can send a key (`authorization: credentials`).
"""

from typing import Annotated

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from service.contract.problems import Unauthorized
from service.server.limits import api_keys as keys
from service.server.state import PartsDependency

_bearer = HTTPBearer(auto_error=False, scheme_name="key", description="An API key of this server.")


async def authorize(
    request: Request,
    parts: PartsDependency,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> None:
    """Puts the key in `request.state.key`; before anything of the request's body is read.

    Raises:
        Unauthorized: there is none, or it is not one of this server's.
    """
    if credentials is None:
        raise Unauthorized("this server asks for an API key: send it as the header 'Authorization: Bearer KEY'")
    request.state.key = keys.find(parts.keys, credentials.credentials)
    if request.state.key is None:
        raise Unauthorized("this API key is not one of this server's: check it, or ask for another")
