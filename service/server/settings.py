"""The settings of the server."""

from typing import Literal

from pydantic import Field

from service.pipeline.settings import ComputeSettings


class Settings(ComputeSettings):
    """Settings from the environment, prefix `IMPASTO_`; the defaults serve a laptop."""

    max_upload_bytes: int = Field(default=32 * 1024**2, ge=1, description="Bytes of one request.")
    upload_timeout_s: float = Field(default=30.0, gt=0, description="Seconds that an upload may take.")
    deadline_s: float = Field(default=60.0, gt=0, description="Seconds from a request's arrival until its answer.")
    max_pictures_per_request: int = Field(default=16, ge=1, description="Pictures in one form.")
    max_in_flight: int = Field(default=64, ge=1, description="Requests accepted at once; more are answered 429.")
    max_pixels_in_flight: int | None = Field(
        default=None,
        ge=1,
        description="Pixels of uploads and answers together; more are answered 429. 100,000,000 if not given, and "
        "fewer where a CPU has little memory.",
    )
    preload: str = Field(default="", description="Models to load before the server is ready, or `all`.")
    store_refresh_s: float = Field(
        default=10.0, ge=0, description="Seconds between two looks for new versions; 0 for none."
    )
    api_keys: str = Field(
        default="", description="Keys of those who may call: `name:sha256[:concurrency]`, ...; everybody if empty."
    )
    cors_origins: str = Field(
        default="", description="Origins whose pages may call from a browser, separated by commas, or `*`."
    )
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    workers: int = Field(default=1, ge=1, description="Processes that share the port and the device.")

    def of_one_worker(self) -> "Settings":
        """Return the settings with one worker's part of what the machine has."""
        names = ("max_in_flight", "max_pixels_in_flight", "codec_threads")
        given = {name: number for name in names if (number := getattr(self, name)) is not None}
        return self.model_copy(update={name: max(1, number // self.workers) for name, number in given.items()})
