"""Paint photos and enlarge pictures with an Impasto server, from Python.

    from impasto import Client

    with Client("http://localhost:8000") as client:
        client.stylize("photo.jpg", style="muse").save("painting.jpg")

This package names what applications use: the clients of `service.client`, their options and errors, and the card of a
model. It needs httpx and pydantic, and neither torch nor a server. `docs/python.md` is its manual.
"""

from model_store.card import Card, Task
from service.client import (
    Answer,
    AsyncClient,
    BadOption,
    BadPicture,
    BadRequest,
    Busy,
    Client,
    ClientError,
    ConnectionFailed,
    DamagedWeights,
    DeadlineExceeded,
    DeviceLost,
    Format,
    MapOptions,
    NotFound,
    PictureOptions,
    PictureSource,
    ProblemError,
    Progress,
    ServerFailed,
    Style,
    StylizeOptions,
    SuperResolveOptions,
    TimedOut,
    TooLarge,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
    UnknownModel,
    Unprocessable,
    UnsupportedFormat,
    UploadTimeout,
)

__all__ = [
    "Answer",
    "AsyncClient",
    "BadOption",
    "BadPicture",
    "BadRequest",
    "Busy",
    "Card",
    "Client",
    "ClientError",
    "ConnectionFailed",
    "DamagedWeights",
    "DeadlineExceeded",
    "DeviceLost",
    "Format",
    "MapOptions",
    "NotFound",
    "PictureOptions",
    "PictureSource",
    "ProblemError",
    "Progress",
    "ServerFailed",
    "Style",
    "StylizeOptions",
    "SuperResolveOptions",
    "Task",
    "TimedOut",
    "TooLarge",
    "Unauthorized",
    "Unavailable",
    "UnexpectedAnswer",
    "UnknownModel",
    "Unprocessable",
    "UnsupportedFormat",
    "UploadTimeout",
]
