"""The id of the request that is being served, for the log and whatever is computed on its behalf."""

from contextvars import ContextVar

current: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request that is being served, or of those of a batch, with commas; empty outside of requests."""
