"""What a call of the client can raise.

ClientError
├── ConnectionFailed           no answer: refused or broken off
│   └── TimedOut               a phase of the call took longer than its timeout
├── UnexpectedAnswer           a success, but not what an Impasto server says
└── ProblemError               the server answered with an error
    ├── BadRequest             400 and any other 4xx
    ├── Unauthorized           401
    ├── NotFound               404
    │   └── UnknownModel       no such style or factor
    ├── UploadTimeout          408
    ├── TooLarge               413
    ├── UnsupportedFormat      415
    ├── Unprocessable          422
    │   ├── BadOption          an option that is unknown or out of range
    │   └── BadPicture         no picture, a broken one, or one too small
    ├── Busy                   429
    └── ServerFailed           500 and any other 5xx
        ├── DamagedWeights     the model's files are not what was published
        ├── Unavailable        503
        │   └── DeviceLost     until the server is restarted
        └── DeadlineExceeded   504

A problem that this client does not know, of a newer server, is raised by its status.
"""

from typing import Any

import httpx

from model_store.errors import ImpastoError


class ClientError(ImpastoError):
    """Base of all errors of the client."""

    def __init__(self, message: str, request_id: str | None = None) -> None:
        super().__init__(message)
        self.request_id = request_id
        """By which the server's log tells of the call, as far as it came there; the same for all its attempts."""


class ConnectionFailed(ClientError):
    """The server could not be reached, or broke off, also after retrying."""


class TimedOut(ConnectionFailed):
    """Connecting, sending, or waiting for the answer took longer than its timeout, also after retrying."""


class UnexpectedAnswer(ClientError):
    """The answer is a success, but not what an Impasto server says; is the URL right?"""


class ProblemError(ClientError):
    """The server refused or failed; holds its problem document (RFC 9457)."""

    def __init__(self, response: httpx.Response) -> None:
        document = _document(response)
        self.status = response.status_code
        self.type = str(document.get("type") or "about:blank")
        self.title = str(document.get("title") or response.reason_phrase)
        self.detail = str(document.get("detail") or response.text[:200])
        request_id = document.get("request_id") or response.headers.get("X-Request-ID")
        super().__init__(f"{self.status} {self.title}: {self.detail} (request {request_id})", request_id)


class BadRequest(ProblemError):
    """400, and any 4xx that has no class of its own."""


class Unauthorized(ProblemError):
    """401: no key, or not a valid one; give `api_key`."""


class NotFound(ProblemError):
    """404: nothing at this address; is the URL right?"""


class UnknownModel(NotFound):
    """404: no such style or factor."""


class UploadTimeout(ProblemError):
    """408: the upload did not end in time, also after retrying."""


class TooLarge(ProblemError):
    """413: too many bytes or pixels."""


class UnsupportedFormat(ProblemError):
    """415: not an image format that the server takes."""


class Unprocessable(ProblemError):
    """422: a bad option or a broken picture."""


class BadOption(Unprocessable):
    """422: an option that the server does not know, or one out of range."""


class BadPicture(Unprocessable):
    """422: no picture, a broken one, or one too small."""


class Busy(ProblemError):
    """429: too many requests, also after retrying."""


class ServerFailed(ProblemError):
    """500, and any 5xx that has no class of its own, also after retrying."""


class DamagedWeights(ServerFailed):
    """500: the model's files on the server are not what was published."""


class Unavailable(ServerFailed):
    """503: starting, draining or out of memory, also after retrying."""


class DeviceLost(Unavailable):
    """503: the server's device failed, and nothing will work until it is restarted."""


class DeadlineExceeded(ServerFailed):
    """504: not ready in time, for the server or for the deadline that the caller set."""


_URN = "urn:impasto:problem:"
_BY_TYPE: dict[str, type[ProblemError]] = {
    f"{_URN}bad-option": BadOption,
    f"{_URN}bad-picture": BadPicture,
    f"{_URN}damaged-weights": DamagedWeights,
    f"{_URN}device-lost": DeviceLost,
    f"{_URN}unknown-model": UnknownModel,
}
"""The problems that are not told by their status alone."""
_BY_STATUS: dict[int, type[ProblemError]] = {
    401: Unauthorized,
    404: NotFound,
    408: UploadTimeout,
    413: TooLarge,
    415: UnsupportedFormat,
    422: Unprocessable,
    429: Busy,
    503: Unavailable,
    504: DeadlineExceeded,
}


def error_of(response: httpx.Response) -> ProblemError:
    """The error that stands for an answer that is not a success."""
    kind = _BY_TYPE.get(str(_document(response).get("type"))) or _BY_STATUS.get(response.status_code)
    return (kind or (ServerFailed if response.is_server_error else BadRequest))(response)


def _document(response: httpx.Response) -> dict[str, Any]:
    try:
        document = response.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
