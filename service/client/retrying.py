"""When a failed call is made again, and after how long."""

import random

import httpx

DEADLINE_HEADER = "X-Deadline-Ms"
_BUSY = 429
_RETRIED_STATUSES = {408, _BUSY, 500, 502, 503, 504}
_FIRST_WAIT, _LONGEST_WAIT, _LONGEST_RETRY_AFTER = 0.5, 8.0, 60.0
_JITTER = 0.25

Outcome = httpx.Response | httpx.RequestError
"""Of one attempt."""


class Retries:
    """Those of one call. Every call may be repeated, because none changes the server.

    Args:
        most: after which the outcome stands.
        waits_while_busy: whether 429 does not count among them, as if it were the queue before the server.
    """

    def __init__(self, most: int, *, waits_while_busy: bool = False) -> None:
        self._left = most
        self._waits_while_busy = waits_while_busy
        self._attempts = 0

    def seconds_after(self, outcome: Outcome) -> float | None:
        """How long to wait before the next attempt, or None if there is to be none.

        As long as the server asks for by `Retry-After`, given in seconds, and up to a quarter more; else half a second,
        twice as long each time, less up to a quarter. So those who failed together do not come back together.
        """
        if not _may_pass(outcome):
            return None
        if not (self._waits_while_busy and isinstance(outcome, httpx.Response) and outcome.status_code == _BUSY):
            if self._left == 0:
                return None
            self._left -= 1
        self._attempts += 1
        jitter = _JITTER * random.random()  # noqa: S311  (not a secret)
        asked = _retry_after(outcome)
        if asked is not None:
            return asked * (1 + jitter)
        return float(min(_FIRST_WAIT * 2 ** min(self._attempts - 1, 10), _LONGEST_WAIT)) * (1 - jitter)


def _may_pass(outcome: Outcome) -> bool:
    """Whether the same call may soon succeed."""
    if isinstance(outcome, httpx.Response):
        if outcome.status_code == 504 and DEADLINE_HEADER in outcome.request.headers:
            return False  # its caller has no more time
        return outcome.status_code in _RETRIED_STATUSES and (_retry_after(outcome) or 0) <= _LONGEST_RETRY_AFTER
    return isinstance(outcome, httpx.TransportError) and not isinstance(outcome, httpx.UnsupportedProtocol)


def _retry_after(outcome: Outcome) -> float | None:
    value = outcome.headers.get("Retry-After", "") if isinstance(outcome, httpx.Response) else ""
    return float(value) if value.isdecimal() else None
