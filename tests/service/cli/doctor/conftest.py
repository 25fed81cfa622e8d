"""The doctor in this process, with a small net in the place of the bundled ones."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from model_store.card import Card
from service.cli.doctor.command import doctor


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
def call(bundled: Path) -> Callable[..., Result]:  # noqa: ARG001
    """Calls `impasto doctor`, as a shell would."""
    app = typer.Typer()
    app.command()(doctor)
    return lambda *arguments: CliRunner().invoke(app, arguments, catch_exceptions=False)


@pytest.fixture
def diagnose(call: Callable[..., Result]) -> Callable[[], dict[str, Any]]:
    """What `impasto doctor --json` prints; its exit code must be as well as it says to be."""

    def diagnose() -> dict[str, Any]:
        result = call("--json")
        diagnosis: dict[str, Any] = json.loads(result.stdout)
        assert diagnosis["well"] == (not diagnosis["findings"])
        assert result.exit_code == (0 if diagnosis["well"] else 1)
        return diagnosis

    return diagnose
