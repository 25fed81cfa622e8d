"""The id of the request that is being served, which log records and work on other threads can read."""

from contextvars import ContextVar

current: ContextVar[str] = ContextVar("request_id", default="")
"""Id of the request that is being served, or the ids of a batch's requests with commas; empty outside requests."""
