"""The settings of computing, which the server and the command line share."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.device.cores import usable_cores


class ComputeSettings(BaseSettings):
    """Settings of computing, from environment variables with the prefix `IMPASTO_`; the defaults suit a laptop."""

    model_config = SettingsConfigDict(env_prefix="IMPASTO_")

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32"] = Field(
        default="auto", description="`auto` computes in half precision where that is faster, as on CUDA."
    )
    max_upload_pixels: int = Field(default=128_000_000, ge=256, description="Largest number of pixels of an upload.")
    max_pixels: int = Field(default=200_000_000, ge=256, description="Largest number of pixels of an answer.")
    max_batch: int | None = Field(
        default=None,
        ge=1,
        description="Largest number of pictures in one batch; if not given, 32 on CUDA and 1 on a CPU.",
    )
    max_batch_pixels: int | None = Field(
        default=None,
        ge=1,
        description="Largest number of output pixels in one batch of several pictures; if not given, as many as a "
        "quarter of the device's memory holds.",
    )
    model_memory_bytes: int | None = Field(
        default=None,
        ge=1,
        description="Bytes of the weights that are kept on the device; if not given, an eighth of its memory.",
    )
    codec_threads: int = Field(
        default=min(usable_cores(), 16), ge=1, description="Number of threads that decode and encode pictures."
    )
