"""The client of an Impasto server, sync and async.

from service.client import Client

with Client("http://localhost:8000") as client:
    client.stylize("in.jpg", style="muse").save("out.jpg")
"""

from service.client.answer import Answer
from service.client.clients import AsyncClient, Client
from service.client.errors import (
    BadRequest,
    Busy,
    ClientError,
    ConnectionFailed,
    DeadlineExceeded,
    ProblemError,
    ServerFailed,
    TooLarge,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
    UnknownModel,
    Unprocessable,
    UnsupportedFormat,
)

__all__ = [
    "Answer",
    "AsyncClient",
    "BadRequest",
    "Busy",
    "Client",
    "ClientError",
    "ConnectionFailed",
    "DeadlineExceeded",
    "ProblemError",
    "ServerFailed",
    "TooLarge",
    "Unauthorized",
    "Unavailable",
    "UnexpectedAnswer",
    "UnknownModel",
    "Unprocessable",
    "UnsupportedFormat",
]
