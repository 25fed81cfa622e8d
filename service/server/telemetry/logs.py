"""Logs: lines of text for people, or of JSON for machines, each with the id of the request that it is about."""

import json
import logging
import re
import traceback
from datetime import datetime
from typing import Any, Literal

from opentelemetry import trace

from service.contract import request_id

Level = Literal["debug", "info", "warning", "error"]
_OURS = ("service", "model_store", "uvicorn")
"""Loggers whose level is set; all others are logged from WARNING on."""
_PLAIN = re.compile(r"[\w./:@{},+-]+", re.ASCII)
"""Values of fields that are written without quotes."""


def configuration(style: Literal["text", "json"], level: Level) -> dict[str, Any]:
    """Return the configuration for `logging.config.dictConfig`: everything is logged to stderr.

    Args:
        style: Style of the lines: text for people, or JSON for machines.
        level: Lowest level of our own records and uvicorn's. Other libraries are logged from WARNING on, or from ERROR
            on if that is the level.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"chosen": {"()": f"{__name__}.{'JsonFormatter' if style == 'json' else 'TextFormatter'}"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "chosen"}},
        "root": {"handlers": ["stderr"], "level": "ERROR" if level == "error" else "WARNING"},
        "loggers": {
            **{name: {"level": level.upper(), "handlers": [], "propagate": True} for name in _OURS},
            # Below INFO, websockets would log the headers of a handshake, with the API key.
            "uvicorn.error": {"level": max(level.upper(), "INFO", key=logging.getLevelNamesMapping().__getitem__)},
            "uvicorn.access": {"handlers": [], "propagate": False},  # `service.server.middleware.access_log` says more
        },
    }


class TextFormatter(logging.Formatter):
    """A formatter that writes time, level, logger, request, message and fields on a line, and a traceback below it.

    A traceback is indented. Text that came from a client cannot look like a line or a field of its own.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record."""
        words = [_time(record), record.levelname, record.name, _printable(record.getMessage())]
        requests = request_id.current.get()
        if requests:
            words.insert(3, f"[{requests}]")
        words += [f"{name}={_quoted(value)}" for name, value in _fields(record).items()]
        below = "".join(f"\n    {_printable(line)}" for line in _traceback(record).splitlines())
        return " ".join(words) + below


class JsonFormatter(logging.Formatter):
    """A formatter that writes a record as one JSON object on a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        document: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        requests = request_id.current.get()
        if requests:
            document["request_id"] = requests
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            document["trace_id"] = trace.format_trace_id(span.trace_id)
        document |= _fields(record)
        if record.exc_info:
            document["exception"] = _traceback(record)
        return json.dumps(document)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = getattr(record, "fields", {})
    return fields


def _traceback(record: logging.LogRecord) -> str:
    return "".join(traceback.format_exception(record.exc_info[1])) if record.exc_info else ""


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _quoted(value: object) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) else _printable(json.dumps(text))
