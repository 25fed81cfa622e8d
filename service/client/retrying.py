"""The rules by which a failed call is repeated: after which failures, how often, and how long after."""

import random

import httpx

DEADLINE_HEADER = "X-Deadline-Ms"
"""The request header with the milliseconds that the server may take."""
_BUSY = 429
_RETRIED_STATUSES = {408, _BUSY, 500, 502, 503, 504}
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 8.0
"""Seconds before the first repetition and the most before a later one, where the server does not say how long."""
_LONGEST_RETRY_AFTER = 60.0
"""Seconds that the server may ask to wait; a call that it asks to wait longer is not repeated."""
_JITTER = 0.25
"""The largest share by which a wait is changed at random."""

Outcome = httpx.Response | httpx.RequestError
"""The outcome of one attempt: a response of any status, or the error that there was instead."""


class Retries:
    """The repetitions of one call. Every call may be repeated, because none changes the server's state.

    Args:
        most: The number of repetitions; the outcome after the last one stands.
        waits_while_busy: Whether a 429 is waited out however often it comes, without counting as a repetition.
    """

    def __init__(self, most: int, *, waits_while_busy: bool = False) -> None:
        self._left = most
        self._waits_while_busy = waits_while_busy
        self._attempts = 0

    def seconds_after(self, outcome: Outcome) -> float | None:
        """Return the seconds to wait before the next attempt, or None if there is to be none.

        The wait is what the server asks for by `Retry-After`, in seconds, and up to a quarter more. Without that header
        it is half a second, and twice as long each time, up to 8 seconds, less up to a quarter. The random part keeps
        clients that failed at the same time from coming back at the same time.
        """
        if not _is_worth_repeating(outcome):
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


def _is_worth_repeating(outcome: Outcome) -> bool:
    """Return whether the same call may soon succeed."""
    if isinstance(outcome, httpx.Response):
        if outcome.status_code == 504 and DEADLINE_HEADER in outcome.request.headers:
            return False  # the caller's own deadline is over
        return outcome.status_code in _RETRIED_STATUSES and (_retry_after(outcome) or 0) <= _LONGEST_RETRY_AFTER
    return isinstance(outcome, httpx.TransportError) and not isinstance(outcome, httpx.UnsupportedProtocol)


def _retry_after(outcome: Outcome) -> float | None:
    value = outcome.headers.get("Retry-After", "") if isinstance(outcome, httpx.Response) else ""
    return float(value) if value.isdecimal() else None
