"""The errors of the service, each an RFC 9457 problem with an HTTP status.

Problem
├── Unauthorized            401   no API key, or one that this server does not know
├── BadForm                 400   a body that says it is multipart and cannot be read as that
├── BadOption               422   an option or a form field that is unknown or out of range
├── BadPicture              422   no picture, a broken one, or one that the options do not fit
├── BadFilm                 422   a film that is broken, cut, encrypted or without pictures
├── UnknownModel            404   no such style or factor; the detail lists the known ones
├── TooLarge                413   too many bytes or pixels
├── UnsupportedFormat       415   not an image format that the service reads
├── UploadTimeout           408   the upload did not end in time
├── Busy                    429   too many requests or pixels in flight; says when to try again
├── DamagedWeights          500   the files of a model are not those that were published
├── InternalError           500   an error in the service itself
├── DeadlineExceeded        504   the answer was not ready in time
└── Unavailable             503   starting, shutting down or out of memory; says when to try again
    └── DeviceLost          503   the device failed, and works only after a restart
"""

from typing import ClassVar

from pydantic import BaseModel

from model_store.errors import ImpastoError

MEDIA_TYPE = "application/problem+json"


class ProblemDocument(BaseModel):
    """The body of an error answer, `application/problem+json`."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str


class Problem(ImpastoError):
    """An error with an HTTP status; its message is the `detail`, a sentence that says what to do."""

    status: ClassVar[int] = 500
    name: ClassVar[str] = "problem"
    title: ClassVar[str] = "Problem"
    example: ClassVar[str] = "this is what happened: do that"
    """Example of a detail, for the OpenAPI document."""

    def __init__(self, detail: str, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after
        """Seconds after which to try again; None where waiting does not help."""

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers that the answer has because of this problem."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}

    def document(self, request_id: str) -> ProblemDocument:
        """Return the body of the answer to the request with this id."""
        return ProblemDocument(
            type=f"urn:impasto:problem:{self.name}",
            title=self.title,
            status=self.status,
            detail=self.detail,
            request_id=request_id,
        )


class Unauthorized(Problem):
    """The request has no API key, or one that this server does not know."""

    status, name, title = 401, "unauthorized", "Unauthorized"
    example = "this server asks for an API key: send it as the header 'Authorization: Bearer KEY'"

    @property
    def headers(self) -> dict[str, str]:
        """Return the challenge that tells a client how to authenticate."""
        return {"WWW-Authenticate": 'Bearer realm="impasto"'}


class BadForm(Problem):
    """The body says that it is multipart and cannot be read as that."""

    status, name, title = 400, "bad-form", "Bad form"
    example = "the body cannot be read as multipart/form-data: Missing boundary in multipart."


class BadOption(Problem):
    """An option or a form field is unknown or out of range."""

    status, name, title = 422, "bad-option", "Bad option"
    example = "quality: Input should be less than or equal to 100"


class BadPicture(Problem):
    """The upload is no picture, or one that is broken, extremely narrow, or of a size that the options do not fit."""

    status, name, title = 422, "bad-picture", "Bad picture"
    example = "the picture is broken or cut short: send the whole file"


class BadFilm(Problem):
    """The upload is a film that is broken, cut short, encrypted or without pictures."""

    status, name, title = 422, "bad-film", "Bad film"
    example = "the film is encrypted: send one without copy protection"


class UnknownModel(Problem):
    """There is no such style or factor."""

    status, name, title = 404, "unknown-model", "Unknown model"
    example = "there is no style 'mus'; known: candy, muse, the-scream"


class TooLarge(Problem):
    """The upload or the answer has too many bytes or pixels."""

    status, name, title = 413, "too-large", "Too large"
    example = "the picture has 8,000×6,000 pixels; this server takes up to 40,000,000 in all: make it smaller"


class UnsupportedFormat(Problem):
    """The upload is not in an image format that the service reads."""

    status, name, title = 415, "unsupported-format", "Unsupported format"
    example = "this is not a picture in a format we take: send JPEG, PNG, WEBP, AVIF"


class UploadTimeout(Problem):
    """The upload did not end in time."""

    status, name, title = 408, "upload-timeout", "Upload timed out"
    example = "the upload took more than 30 s: send a smaller picture or try again"


class Busy(Problem):
    """Too many requests or pixels are in flight."""

    status, name, title = 429, "busy", "Busy"
    example = "64 requests are in flight, which is all this server takes at once: try again in 3 s"


class DamagedWeights(Problem):
    """The files of a model are not those that were published."""

    status, name, title = 500, "damaged-weights", "Damaged weights"
    example = "stylize/muse@1 is damaged: publish it again or restore the file"


class InternalError(Problem):
    """There is an error in the service itself; the log says more under the request id."""

    status, name, title = 500, "internal-error", "Internal error"
    example = "something went wrong on our side; the server's log says more"


class DeadlineExceeded(Problem):
    """The answer was not ready in time."""

    status, name, title = 504, "deadline-exceeded", "Deadline exceeded"
    example = "the answer was not ready in 60 s: send a smaller picture, or try again later"


class Unavailable(Problem):
    """The server cannot answer now: it is starting, shutting down or out of memory."""

    status, name, title = 503, "unavailable", "Unavailable"
    example = "the server is starting and loads models: wait until it is ready"


class DeviceLost(Unavailable):
    """The device failed, and nothing can be computed until the server is restarted."""

    name, title = "device-lost", "Device lost"
    example = "the device is lost: restart the server"
