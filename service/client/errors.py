"""What a call of the client can raise.

ClientError
├── ConnectionFailed           no answer: refused, broken off or timed out
├── UnexpectedAnswer           a success, but not what an Impasto server says
└── ProblemError               the server answered with an error
    ├── BadRequest             400 and any other 4xx
    ├── Unauthorized           401
    ├── UnknownModel           404
    ├── TooLarge               413
    ├── UnsupportedFormat      415
    ├── Unprocessable          422
    ├── Busy                   429
    └── ServerFailed           500 and any other 5xx
        ├── Unavailable        503
        └── DeadlineExceeded   504
"""

from typing import Any

import httpx


class ClientError(Exception):
    """Base of all errors of the client."""


class ConnectionFailed(ClientError):
    """The server could not be reached, or broke off."""


class UnexpectedAnswer(ClientError):
    """The answer is a success, but not what an Impasto server says; is the URL right?"""


class ProblemError(ClientError):
    """The server refused or failed; holds its problem document (RFC 9457)."""

    def __init__(self, response: httpx.Response) -> None:
        document = _document(response)
        self.status = response.status_code
        self.type: str = document.get("type", "about:blank")
        self.title: str = document.get("title", response.reason_phrase)
        self.detail: str = document.get("detail", response.text[:200])
        self.request_id: str | None = document.get("request_id") or response.headers.get("X-Request-ID")
        super().__init__(f"{self.status} {self.title}: {self.detail} (request {self.request_id})")


class BadRequest(ProblemError):
    """400, and any 4xx that has no class of its own."""


class Unauthorized(ProblemError):
    """401: no key, or not a valid one."""


class UnknownModel(ProblemError):
    """404: no such style or factor."""


class TooLarge(ProblemError):
    """413: too many bytes or pixels."""


class UnsupportedFormat(ProblemError):
    """415: not an image format that the server takes."""


class Unprocessable(ProblemError):
    """422: a bad option or a broken picture."""


class Busy(ProblemError):
    """429: too many requests, also after retrying."""


class ServerFailed(ProblemError):
    """500, and any 5xx that has no class of its own."""


class Unavailable(ServerFailed):
    """503: starting, draining or out of memory, also after retrying."""


class DeadlineExceeded(ServerFailed):
    """504: not ready in time, for the server or for the deadline that the caller set."""


_BY_STATUS: dict[int, type[ProblemError]] = {
    401: Unauthorized,
    404: UnknownModel,
    413: TooLarge,
    415: UnsupportedFormat,
    422: Unprocessable,
    429: Busy,
    503: Unavailable,
    504: DeadlineExceeded,
}


def error_of(response: httpx.Response) -> ProblemError:
    """The error that stands for an answer that is not a success."""
    default = ServerFailed if response.is_server_error else BadRequest
    return _BY_STATUS.get(response.status_code, default)(response)


def _document(response: httpx.Response) -> dict[str, Any]:
    try:
        document = response.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
