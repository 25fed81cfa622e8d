"""Everything that the service refuses or fails at, as RFC 9457 problems.

Problem
├── BadOption               422   a query parameter that is unknown or out of range
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

    def __init__(self, detail: str, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after
        """Seconds after which to try again, where that may help."""

    def document(self, request_id: str) -> ProblemDocument:
        """The body of the answer."""
        return ProblemDocument(
            type=f"urn:impasto:problem:{self.name}",
            title=self.title,
            status=self.status,
            detail=self.detail,
            request_id=request_id,
        )


class BadOption(Problem):
    """A query parameter that is unknown or out of range."""

    status, name, title = 422, "bad-option", "Bad option"


class BadPicture(Problem):
    """No picture, a broken one, or one too small."""

    status, name, title = 422, "bad-picture", "Bad picture"


class UnknownModel(Problem):
    """No such style or factor."""

    status, name, title = 404, "unknown-model", "Unknown model"


class TooLarge(Problem):
    """Too many bytes or pixels."""

    status, name, title = 413, "too-large", "Too large"


class UnsupportedFormat(Problem):
    """Not an image format that we take."""

    status, name, title = 415, "unsupported-format", "Unsupported format"


class UploadTimeout(Problem):
    """The upload did not end in time."""

    status, name, title = 408, "upload-timeout", "Upload timed out"


class Busy(Problem):
    """Too many requests or pixels in flight."""

    status, name, title = 429, "busy", "Busy"


class DamagedWeights(Problem):
    """The store's files are not what was published."""

    status, name, title = 500, "damaged-weights", "Damaged weights"


class InternalError(Problem):
    """A mistake of ours; the log has more under the request id."""

    status, name, title = 500, "internal-error", "Internal error"


class DeadlineExceeded(Problem):
    """The answer was not ready in time."""

    status, name, title = 504, "deadline-exceeded", "Deadline exceeded"


class Unavailable(Problem):
    """Not now: starting, draining or out of memory."""

    status, name, title = 503, "unavailable", "Unavailable"


class DeviceLost(Unavailable):
    """The device failed, and nothing will work until a restart."""

    name, title = "device-lost", "Device lost"
