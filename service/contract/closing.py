"""The end of a WebSocket connection because of a problem."""

from service.contract.problems import Problem

_CODES = 4000
"""First of the close codes for applications (RFC 6455, section 7.4.2), to which the HTTP status is added."""
_MOST_REASON_BYTES = 123
"""Largest number of bytes of the reason of a close (RFC 6455, section 5.5)."""


def close_of(problem: Problem) -> tuple[int, str]:
    """Return the code and the reason by which a connection is closed because of a problem."""
    return _CODES + problem.status, problem.detail.encode()[:_MOST_REASON_BYTES].decode(errors="ignore")
