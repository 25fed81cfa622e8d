"""The settings of computing, which the server and the command line have in common."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.device.cores import usable_cores


class ComputeSettings(BaseSettings):
    """Settings from the environment, prefix `IMPASTO_`; the defaults serve a laptop."""

    model_config = SettingsConfigDict(env_prefix="IMPASTO_")

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32"] = Field(
        default="auto", description="`auto` computes in half precision where that is faster, as on CUDA."
    )
    max_pixels: int = Field(
        default=8_500_000, ge=256, description="Pixels that an upload may have, and what a net makes of it."
    )
    max_batch: int | None = Field(
        default=None, ge=1, description="Pictures in one batch; 32 on CUDA and 1 on a CPU if not given."
    )
    max_batch_pixels: int | None = Field(
        default=None,
        ge=1,
        description="Output pixels in one batch of several pictures; as many as a quarter of the device's memory holds "
        "if not given.",
    )
    model_memory_bytes: int | None = Field(
        default=None,
        ge=1,
        description="Bytes of the weights that are kept on the device; an eighth of its memory if not given.",
    )
    codec_threads: int = Field(
        default=min(usable_cores(), 16), ge=1, description="Threads that decode and encode pictures."
    )
