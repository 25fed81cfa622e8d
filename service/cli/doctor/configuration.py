"""The settings that are in force, and whether the server takes them."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import ValidationError

from model_store.errors import ImpastoError
from service.cli.doctor.examination import Fact, Finding

if TYPE_CHECKING:
    import torch

    from service.server.settings import Settings

_OTHER_VARIABLES = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "PROMETHEUS_MULTIPROC_DIR")
"""Variables of other programs that change what Impasto does."""


def configuration() -> Iterator[Fact | Finding]:
    """Report the variables that are set, and whether a server can be made with them."""
    names = sorted(name for name in os.environ if name.startswith("IMPASTO_") or name in _OTHER_VARIABLES)
    for name in names:
        yield Fact(name, "set, and not shown" if "KEY" in name else os.environ[name])
    if not names:
        yield Fact("variables", "none set: all settings are the defaults", [])

    from service.server.app import create_app

    create_app()
    yield Fact("server", "can be made with these settings")


def usable_settings() -> "Settings":
    """Return the settings in force, or the defaults if these cannot be read."""
    from service.server.settings import Settings

    try:
        return Settings()
    except ValidationError:
        return Settings.model_construct()


def usable_device() -> "torch.device":
    """Return the device of the settings, or the CPU if that device does not exist."""
    import torch

    from service.device.device import choose_device

    try:
        return choose_device(usable_settings().device)
    except ImpastoError:
        return torch.device("cpu")
