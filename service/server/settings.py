"""Settings of the service."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.device.cores import usable_cores


class Settings(BaseSettings):
    """Settings from the environment, prefix `IMPASTO_`; the defaults serve a laptop."""

    model_config = SettingsConfigDict(env_prefix="IMPASTO_")

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32"] = Field(
        default="auto", description="`auto` computes in half precision where that is faster, as on CUDA."
    )
    max_upload_bytes: int = Field(default=32 * 1024**2, ge=1)
    upload_timeout_s: float = Field(default=30.0, gt=0)
    deadline_s: float = Field(default=60.0, gt=0, description="From a request's arrival until its answer is ready.")
    max_pixels: int = Field(default=8_500_000, ge=256, description="Of an upload, and of what a net makes of it.")
    max_pictures_per_request: int = Field(default=16, ge=1, description="In one form.")
    max_in_flight: int = Field(default=64, ge=1, description="Requests accepted at once; more are answered 429.")
    max_pixels_in_flight: int | None = Field(
        default=None,
        ge=1,
        description="Of uploads and answers together; more are answered 429. 100,000,000 if not given, and fewer where "
        "a CPU has little memory.",
    )
    max_batch: int | None = Field(
        default=None, ge=1, description="Pictures in one batch; 32 on CUDA and 1 on a CPU if not given."
    )
    max_batch_pixels: int | None = Field(
        default=None,
        ge=1,
        description="Output pixels in one batch of several; as many as a quarter of the device's memory holds if not "
        "given.",
    )
    model_memory_bytes: int | None = Field(
        default=None,
        ge=1,
        description="Of the weights that are kept on the device; an eighth of its memory if not given.",
    )
    preload: str = Field(default="", description="Models to load before the server is ready, or `all`.")
    store_refresh_s: float = Field(default=10.0, ge=0, description="Between two looks for new versions; 0 for none.")
    api_keys: str = Field(default="", description="Who may call: `name:sha256[:concurrency]`, ...; everybody if empty.")
    cors_origins: str = Field(default="", description="Whose pages may call from a browser: origins, ..., or `*`.")
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    codec_threads: int = Field(default=min(usable_cores(), 16), ge=1, description="For decoding and encoding.")
    workers: int = Field(default=1, ge=1, description="Processes that share the port and the device.")

    def of_one_worker(self) -> "Settings":
        """The settings with one worker's part of what the machine has."""
        names = ("max_in_flight", "max_pixels_in_flight", "codec_threads")
        given = {name: number for name in names if (number := getattr(self, name)) is not None}
        return self.model_copy(update={name: max(1, number // self.workers) for name, number in given.items()})
