"""Settings of the service."""

import os
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Settings from the environment, prefix `IMPASTO_`; the defaults serve a laptop."""

    model_config = SettingsConfigDict(env_prefix="IMPASTO_")

    device: Literal["auto", "cpu", "cuda"] = "auto"
    max_upload_bytes: int = Field(default=32 * 1024**2, ge=1)
    upload_timeout_s: float = Field(default=60.0, gt=0)
    max_pixels: int = Field(default=8_500_000, ge=256, description="Of an upload, and of an answer.")
    max_in_flight: int = Field(default=64, ge=1, description="Requests accepted at once; more are answered 429.")
    max_batch: int = Field(default=16, ge=1, description="Pictures in one batch.")
    max_batch_pixels: int = Field(default=2_000_000, ge=1, description="Output pixels in one batch of several.")
    model_memory_bytes: int | None = Field(
        default=None,
        ge=1,
        description="Of the weights that are kept on the device; an eighth of its memory if not given.",
    )
    preload: str = Field(default="", description="Models to load before the server is ready, or `all`.")
    store_refresh_s: float = Field(default=10.0, ge=0, description="Between two looks for new versions; 0 for none.")
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    codec_threads: int = Field(default=min(os.cpu_count() or 1, 16), ge=1, description="For decoding and encoding.")
