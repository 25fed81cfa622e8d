"""Faults that tests put before functions of the server."""

import copy
import errno
import importlib
import threading
import time
from typing import Any

import pytest

DAY = 86_400
ERRORS: dict[str, BaseException] = {
    "exception": RuntimeError("a fault"),
    "out of memory": MemoryError("a fault"),
    "killed": SystemExit("a fault"),
    "disk full": OSError(errno.ENOSPC, "No space left on device"),
}
"""What is raised by the faults that are errors."""


class Fault:
    """A fault that comes before a function is called: once, but memory is lacking until `over` is set.

    Args:
        kind: The kind of fault; see `FAULTS`.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.entered, self.over = threading.Event(), threading.Event()

    def come(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Raise an error, wait until `over` is set, or let the clock jump by a day."""
        if self.over.is_set() or (self.entered.is_set() and self.kind != "out of memory"):
            return
        self.entered.set()
        if self.kind in ERRORS:
            raise copy.copy(ERRORS[self.kind])
        if self.kind in {"hang", "client gone"}:
            assert self.over.wait(30)
        elif self.kind == "slow disk":
            time.sleep(0.2)
        elif self.kind == "clock jump":
            now = time.time
            monkeypatch.setattr(time, "time", lambda: now() + DAY)

    def put_before(self, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the fault come before a function, `package.module.function` or `package.module.Class.function`."""
        place, _, name = target.rpartition(".")
        module, _, owner = place.rpartition(".")
        home = getattr(importlib.import_module(module), owner) if owner[0].isupper() else importlib.import_module(place)
        original = getattr(home, name)

        def faulty(*args: Any, **options: Any) -> Any:
            self.come(monkeypatch)
            return original(*args, **options)

        monkeypatch.setattr(home, name, faulty)
