"""The settings of the server."""

from typing import Literal, NamedTuple

from pydantic import Field

from service.pipeline.settings import ComputeSettings

_DISCARDED_UPLOADS = 4
"""Number of the largest uploads of which as many bytes are thrown away after an early answer."""


class Deadlines(NamedTuple):
    """The seconds that the server allows."""

    usual_s: float
    """Seconds for clients that do not say how long they wait."""
    longest_s: float
    """Largest number of seconds that a client may ask for."""


class ConnectionLimits(NamedTuple):
    """The limits of the connections of one process."""

    most: int
    """Largest number of connections."""
    head_bytes: int
    """Largest number of bytes of a request line and its headers."""
    head_timeout_s: float
    """Seconds in which the headers of a request must have come."""
    send_timeout_s: float
    """Seconds of a period in which a client must take some of its answer."""
    answer_bytes: int
    """Largest number of bytes of answers that clients have not taken yet."""
    message_bytes: int
    """Largest number of bytes of live frames that have begun and have not ended."""
    discard_bytes: int
    """Largest number of bytes that are thrown away after an early answer."""
    discard_s: float
    """Seconds in which they must have come."""


class Settings(ComputeSettings):
    """Settings of the server, from environment variables with the prefix `IMPASTO_`; the defaults suit a laptop."""

    max_upload_bytes: int = Field(default=64 * 1024**2, ge=1, description="Largest number of bytes of one request.")
    upload_timeout_s: float = Field(
        default=30.0,
        gt=0,
        description="Seconds that an upload may take; in each third of them it must bring 8 KiB a second.",
    )
    max_upload_bytes_in_flight: int = Field(
        default=256 * 1024**2,
        ge=1,
        description="Largest number of bytes of all uploads that are read or worked on; what is more is answered 429.",
    )
    max_answer_bytes_in_flight: int = Field(
        default=256 * 1024**2,
        ge=1,
        description="Largest number of bytes of answers that clients have not taken; connections are closed for more.",
    )
    send_timeout_s: float = Field(
        default=30.0, gt=0, description="Seconds in which a client must take some of its answer."
    )
    max_header_bytes: int = Field(default=32 * 1024, ge=1024, description="Largest number of bytes of headers.")
    header_timeout_s: float = Field(default=10.0, gt=0, description="Seconds that the headers of a request may take.")
    idle_timeout_s: int = Field(
        default=65, ge=1, description="Seconds after an answer in which a connection is kept for the next request."
    )
    live_idle_timeout_s: float = Field(
        default=60.0, gt=0, description="Seconds without a message after which a live connection is closed."
    )
    max_connections: int = Field(
        default=512, ge=1, description="Largest number of connections; those that wait longest are closed for others."
    )
    deadline_s: float = Field(
        default=60.0,
        gt=0,
        description="Seconds from a request's arrival in which it must be answered, unless it asks for more or less.",
    )
    max_deadline_s: float = Field(
        default=300.0, gt=0, description="Largest number of seconds that a request may ask for, by `X-Deadline-Ms`."
    )
    max_pictures_per_request: int = Field(default=16, ge=1, description="Largest number of pictures in one form.")
    max_in_flight: int = Field(
        default=64, ge=1, description="Largest number of requests in flight; more are answered 429."
    )
    max_pixels_in_flight: int | None = Field(
        default=None,
        ge=1,
        description="Largest number of pixels in flight, of uploads and answers together; more are answered 429. If "
        "not given, 100,000,000, or fewer where a CPU has little memory.",
    )
    preload: str = Field(
        default="", description="Models to load before the server is ready, separated by commas, or `all`."
    )
    store_refresh_s: float = Field(
        default=10.0, ge=0, description="Seconds between two looks for new versions of models; 0 for no looks."
    )
    api_keys: str = Field(
        default="",
        description="API keys of clients that may call: `name:sha256[:concurrency]`, ...; if empty, all clients may.",
    )
    cors_origins: str = Field(
        default="", description="Origins whose pages may call from a browser, separated by commas, or `*` for all."
    )
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    workers: int = Field(default=1, ge=1, description="Number of processes that share the port and the device.")

    @property
    def deadlines(self) -> Deadlines:
        """Return the seconds that requests may take."""
        return Deadlines(self.deadline_s, max(self.deadline_s, self.max_deadline_s))

    @property
    def connections(self) -> ConnectionLimits:
        """Return the limits of connections."""
        return ConnectionLimits(
            most=self.max_connections,
            head_bytes=self.max_header_bytes,
            head_timeout_s=self.header_timeout_s,
            send_timeout_s=self.send_timeout_s,
            answer_bytes=self.max_answer_bytes_in_flight,
            message_bytes=self.max_upload_bytes_in_flight,
            discard_bytes=_DISCARDED_UPLOADS * self.max_upload_bytes,
            discard_s=self.upload_timeout_s,
        )

    def of_one_worker(self) -> "Settings":
        """Return the settings with one worker's share of the limits that hold for the whole machine."""
        names = (
            "max_in_flight",
            "max_pixels_in_flight",
            "max_upload_bytes_in_flight",
            "max_answer_bytes_in_flight",
            "max_connections",
            "codec_threads",
        )
        given = {name: number for name in names if (number := getattr(self, name)) is not None}
        return self.model_copy(update={name: max(1, number // self.workers) for name, number in given.items()})
