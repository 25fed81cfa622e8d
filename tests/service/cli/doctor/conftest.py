"""The doctor in this process, with a small net in the place of the bundled ones."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model_store.card import Card

from ....command import Done, Impasto


@pytest.fixture
def bundled(publish: Callable[..., Card], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a style net called `muse` and a net for ×2, which take the place of the bundled ones."""
    publish("stylize", "muse")
    publish("super-resolve", "x2-pixel")
    monkeypatch.setattr("model_store.root.BUNDLED", tmp_path)
    monkeypatch.setattr("model_store.store.BUNDLED", tmp_path)
    monkeypatch.setattr("model_store.settings.BUNDLED", tmp_path)
    for name in ("KEYS", "PRELOAD", "PRECISION"):
        monkeypatch.delenv(f"IMPASTO_{name}", raising=False)
    monkeypatch.setenv("IMPASTO_STORE", str(tmp_path / "nothing-here"))
    monkeypatch.setenv("IMPASTO_DEVICE", "cpu")
    return tmp_path


@pytest.fixture
def call(bundled: Path, impasto: Impasto) -> Callable[..., Done]:  # noqa: ARG001
    """Return a function that runs `impasto doctor` with the settings of this process."""

    def call(*words: str) -> Done:
        settings = {name: value for name, value in os.environ.items() if name.startswith("IMPASTO_")}
        return impasto("doctor", *words, **settings)

    return call


@pytest.fixture
def diagnose(call: Callable[..., Done]) -> Callable[[], dict[str, Any]]:
    """Return a function that returns what `impasto doctor --json` prints, after a look at the exit code."""

    def diagnose() -> dict[str, Any]:
        done = call("--json")
        diagnosis: dict[str, Any] = json.loads(done.stdout)
        assert diagnosis["well"] == (not diagnosis["findings"])
        assert done.returncode == (0 if diagnosis["well"] else 1)
        return diagnosis

    return diagnose
