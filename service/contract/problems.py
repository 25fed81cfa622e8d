"""Everything that the service refuses or fails at, as RFC 9457 problems.

Problem
├── Unauthorized            401   no API key, or not one of this server's
├── BadForm                 400   a body that says it is multipart and cannot be read as that
├── BadOption               422   an option or a form field that is unknown or out of range
├── BadPicture              422   no picture, a broken one, or one too small
├── UnknownModel            404   no such style or factor; lists the known
├── TooLarge                413   too many bytes or pixels
├── UnsupportedFormat       415   not an image format that we take
├── UploadTimeout           408   the upload did not end in time
├── Busy                    429   too many requests or pixels in flight; says when to come back
├── DamagedWeights          500   the store's files are not what was published
├── InternalError           500   a mistake of ours
├── DeadlineExceeded        504   the answer was not ready in time
└── Unavailable             503   starting, draining or out of memory; says when to come back
    └── DeviceLost          503   the device is gone until a restart
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
    """A detail, for the documentation."""

    def __init__(self, detail: str, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after
        """Seconds after which to try again, where that may help."""

    @property
    def headers(self) -> dict[str, str]:
        """Of the answer."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}

    def document(self, request_id: str) -> ProblemDocument:
        """The body of the answer."""
        return ProblemDocument(
            type=f"urn:impasto:problem:{self.name}",
            title=self.title,
            status=self.status,
            detail=self.detail,
            request_id=request_id,
        )


class Unauthorized(Problem):
    """No API key, or not one of this server's."""

    status, name, title = 401, "unauthorized", "Unauthorized"
    example = "this server asks for an API key: send it as the header 'Authorization: Bearer KEY'"

    @property
    def headers(self) -> dict[str, str]:
        """What to prove oneself by."""
        return {"WWW-Authenticate": 'Bearer realm="impasto"'}


class BadForm(Problem):
    """A body that says it is multipart and cannot be read as that."""

    status, name, title = 400, "bad-form", "Bad form"
    example = "the body cannot be read as multipart/form-data: Missing boundary in multipart."


class BadOption(Problem):
    """An option or a form field that is unknown or out of range."""

    status, name, title = 422, "bad-option", "Bad option"
    example = "quality: Input should be less than or equal to 100"


class BadPicture(Problem):
    """No picture, a broken one, or one too small."""

    status, name, title = 422, "bad-picture", "Bad picture"
    example = "the picture is broken or cut short: send the whole file"


class UnknownModel(Problem):
    """No such style or factor."""

    status, name, title = 404, "unknown-model", "Unknown model"
    example = "there is no style 'mus'; known: candy, muse, the-scream"


class TooLarge(Problem):
    """Too many bytes or pixels."""

    status, name, title = 413, "too-large", "Too large"
    example = "the picture has 8,000×6,000 pixels; this server takes up to 8,500,000 in all: make it smaller"


class UnsupportedFormat(Problem):
    """Not an image format that we take."""

    status, name, title = 415, "unsupported-format", "Unsupported format"
    example = "this is not a picture in a format we take: send JPEG, PNG, WEBP, AVIF"


class UploadTimeout(Problem):
    """The upload did not end in time."""

    status, name, title = 408, "upload-timeout", "Upload timed out"
    example = "the upload took more than 30 s: send a smaller picture or try again"


class Busy(Problem):
    """Too many requests or pixels in flight."""

    status, name, title = 429, "busy", "Busy"
    example = "64 requests are in flight, which is all this server takes at once: try again in 3 s"


class DamagedWeights(Problem):
    """The store's files are not what was published."""

    status, name, title = 500, "damaged-weights", "Damaged weights"
    example = "stylize/muse@1 is damaged: publish it again or restore the file"


class InternalError(Problem):
    """A mistake of ours; the log has more under the request id."""

    status, name, title = 500, "internal-error", "Internal error"
    example = "something went wrong on our side; the server's log says more"


class DeadlineExceeded(Problem):
    """The answer was not ready in time."""

    status, name, title = 504, "deadline-exceeded", "Deadline exceeded"
    example = "the answer was not ready in 60 s: send a smaller picture, or try again later"


class Unavailable(Problem):
    """Not now: starting, draining or out of memory."""

    status, name, title = 503, "unavailable", "Unavailable"
    example = "the server is starting and loads models: wait until it is ready"


class DeviceLost(Unavailable):
    """The device failed, and nothing will work until a restart."""

    name, title = "device-lost", "Device lost"
    example = "the device is lost: restart the server"
