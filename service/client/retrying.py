"""When a failed call is made again, and after how long."""

import random

import httpx

DEADLINE_HEADER = "X-Deadline-Ms"
_RETRIED_STATUSES = {408, 429, 500, 502, 503, 504}
_FIRST_WAIT, _LONGEST_WAIT, _LONGEST_RETRY_AFTER = 0.5, 8.0, 60.0


def is_worth_retrying(outcome: httpx.Response | httpx.TransportError) -> bool:
    """Whether the same call may soon succeed; every call may be repeated, because none changes the server."""
    if isinstance(outcome, httpx.Response):
        if outcome.status_code == 504 and DEADLINE_HEADER in outcome.request.headers:
            return False  # its caller has no more time
        return outcome.status_code in _RETRIED_STATUSES and (_retry_after(outcome) or 0) <= _LONGEST_RETRY_AFTER
    return not isinstance(outcome, httpx.UnsupportedProtocol)


def seconds_to_wait(outcome: httpx.Response | httpx.TransportError, attempt: int) -> float:
    """The server's `Retry-After` where it is given in seconds, else twice as long each time, less up to a quarter.

    Args:
        outcome: of the last attempt.
        attempt: attempts made so far, from 1.
    """
    asked = _retry_after(outcome) if isinstance(outcome, httpx.Response) else None
    if asked is not None:
        return asked
    wait: float = min(_FIRST_WAIT * 2 ** (attempt - 1), _LONGEST_WAIT)
    return wait * (1 - 0.25 * random.random())  # noqa: S311  (jitter, not a secret)


def _retry_after(response: httpx.Response) -> float | None:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdecimal() else None
