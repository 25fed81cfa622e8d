"""The errors that a call of the client raises.

ClientError
├── ConnectionFailed           no answer: the connection was refused or broken off
│   └── TimedOut               a phase of the call took longer than its timeout
├── UnexpectedAnswer           a successful status, but not the answer of an Impasto server
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
    │   ├── BadPicture         no picture, a broken one, or one that is too narrow
    │   └── BadFilm            a film that is broken, cut, encrypted or without pictures
    ├── Busy                   429
    └── ServerFailed           500 and any other 5xx
        ├── DamagedWeights     the model's files are not those that were published
        ├── Unavailable        503
        │   └── DeviceLost     the device failed, and works only after a restart of the server
        └── DeadlineExceeded   504

An error of a newer server whose type this client does not know is raised as the class for its status. Errors that
retrying may cure are raised only after the client's retries.
"""

from typing import Any

import httpx

from model_store.errors import ImpastoError


class ClientError(ImpastoError):
    """The base of all errors that calls of the client raise."""

    def __init__(self, message: str, request_id: str | None = None) -> None:
        super().__init__(message)
        self.request_id = request_id
        """The id under which the server's log mentions the call, if it reached the server; all attempts of a call have
        the same id."""


class ConnectionFailed(ClientError):
    """The server could not be reached, or broke the connection off, also after retrying."""


class TimedOut(ConnectionFailed):
    """Connecting, sending, or waiting for the answer took longer than its timeout, also after retrying."""


class UnexpectedAnswer(ClientError):
    """The call had a successful status, but not the answer of an Impasto server. Check the URL."""


class ProblemError(ClientError):
    """The server answered with an error; the attributes hold its problem document (RFC 9457)."""

    def __init__(self, response: httpx.Response) -> None:
        document = _document(response)
        self.status = response.status_code
        """The HTTP status."""
        self.type = str(document.get("type") or "about:blank")
        """The URI that names the kind of problem, such as `urn:impasto:problem:bad-option`."""
        self.title = str(document.get("title") or response.reason_phrase)
        """The kind of problem in a few words."""
        self.detail = str(document.get("detail") or response.text[:200])
        """A sentence that says what is wrong and what to do."""
        request_id = document.get("request_id") or response.headers.get("X-Request-ID")
        super().__init__(f"{self.status} {self.title}: {self.detail} (request {request_id})", request_id)


class BadRequest(ProblemError):
    """The server answered 400, or a 4xx that has no class of its own."""


class Unauthorized(ProblemError):
    """The server answered 401: it asks for an API key, and got none or not a valid one. Set `api_key`."""


class NotFound(ProblemError):
    """The server answered 404: there is nothing at this address. Check the URL."""


class UnknownModel(NotFound):
    """The server answered 404: it has no such style, or no model for the factor."""


class UploadTimeout(ProblemError):
    """The server answered 408: the upload did not arrive in time, also after retrying."""


class TooLarge(ProblemError):
    """The server answered 413: the picture has too many bytes or pixels."""


class UnsupportedFormat(ProblemError):
    """The server answered 415: the picture is not in a format that it reads."""


class Unprocessable(ProblemError):
    """The server answered 422: an option is bad or the picture is broken."""


class BadOption(Unprocessable):
    """The server answered 422: it does not know an option, or an option is out of its range."""


class BadPicture(Unprocessable):
    """The server answered 422: the picture is missing, broken, extremely narrow, or too large for the options."""


class BadFilm(Unprocessable):
    """The server answered 422: the film is broken, cut short, encrypted or without pictures."""


class Busy(ProblemError):
    """The server answered 429: it has too many requests at once, also after retrying."""


class ServerFailed(ProblemError):
    """The server answered 500, or a 5xx that has no class of its own, also after retrying."""


class DamagedWeights(ServerFailed):
    """The server answered 500: its copy of the model's files is not what was published."""


class Unavailable(ServerFailed):
    """The server answered 503: it is starting, shutting down or out of memory, also after retrying."""


class DeviceLost(Unavailable):
    """The server answered 503: its device failed, and nothing can be computed until the server is restarted."""


class DeadlineExceeded(ServerFailed):
    """The server answered 504: the picture was not ready within the server's limit, or within the client's deadline."""


_URN = "urn:impasto:problem:"
_BY_TYPE: dict[str, type[ProblemError]] = {
    f"{_URN}bad-film": BadFilm,
    f"{_URN}bad-option": BadOption,
    f"{_URN}bad-picture": BadPicture,
    f"{_URN}damaged-weights": DamagedWeights,
    f"{_URN}device-lost": DeviceLost,
    f"{_URN}unknown-model": UnknownModel,
}
"""The classes of problems that share their status with others, by the problem's type."""
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
    """Return the error for a response with a status of 4xx or 5xx."""
    kind = _BY_TYPE.get(str(_document(response).get("type"))) or _BY_STATUS.get(response.status_code)
    return (kind or (ServerFailed if response.is_server_error else BadRequest))(response)


def _document(response: httpx.Response) -> dict[str, Any]:
    try:
        document = response.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
