"""The Python SDK of Impasto: a synchronous and an asynchronous client of its HTTP API, which need no torch.

Example:
    from impasto import Client

    with Client("http://localhost:8000") as client:
        client.stylize("in.jpg", style="muse").save("out.jpg")
        for answer in client.map(paths, style="muse"):
            answer.to_pil()
"""

from service.client.answer import Answer
from service.client.async_client import AsyncClient
from service.client.errors import (
    BadFilm,
    BadOption,
    BadPicture,
    BadRequest,
    Busy,
    ClientError,
    ConnectionFailed,
    DamagedWeights,
    DeadlineExceeded,
    DeviceLost,
    NotFound,
    ProblemError,
    ServerFailed,
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
from service.client.film import AsyncFilm, Film, FilmSource
from service.client.mapping import Progress
from service.client.options import Format, MapOptions, PictureOptions, Style, StylizeOptions, SuperResolveOptions
from service.client.picture import PictureSource
from service.client.sync_client import Client

__all__ = [
    "Answer",
    "AsyncClient",
    "AsyncFilm",
    "BadFilm",
    "BadOption",
    "BadPicture",
    "BadRequest",
    "Busy",
    "Client",
    "ClientError",
    "ConnectionFailed",
    "DamagedWeights",
    "DeadlineExceeded",
    "DeviceLost",
    "Film",
    "FilmSource",
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
