"""Requests that the OpenAPI document allows, and those that it forbids, are answered as it says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from model_store.store import BUNDLED, Store
from service.server.limits import api_keys as keys
from service.server.settings import Settings

from ..serving import serve

pytestmark = pytest.mark.process


def test_every_answer_is_as_documented_whatever_is_sent(tmp_path: Path) -> None:
    """Run all checks of Schemathesis: no 5xx, no undocumented answer, nothing valid refused or invalid accepted."""
    key, entry = keys.make("tests")
    config = tmp_path / "schemathesis.toml"
    config.write_text(f'[auth.openapi.key]\nbearer = "{key}"\n')
    hooks = {"SCHEMATHESIS_HOOKS": "schema_hooks"}
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    with serve(Settings(device="cpu", max_pixels=40_000, api_keys=entry), Store(BUNDLED)) as url:
        done = subprocess.run(
            [
                Path(sys.executable).with_name("schemathesis"),
                *("--config-file", config, "run", f"{url}/openapi.json"),
                *("--checks=all", "--max-examples=30", "--seed=1", "--continue-on-failure", "--no-color"),
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=os.environ | hooks | {"PYTHONPATH": path},
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Tested: 8" in done.stdout
