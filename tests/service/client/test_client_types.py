"""The type annotations of the client, as a type checker sees them in an application."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

EXAMPLE = Path(__file__).with_name("client_example.py")
CONFIGURATION = Path(__file__).parents[3] / "pyproject.toml"

WRONG = """
from impasto import AsyncClient, Client
Client().stylize("a.jpg")
Client().stylize("a.jpg", style="muse", factor=4)
Client().super_resolve("a.jpg", format="gif")
Client().super_resolve(3.5)
for answer in Client().map(["a.jpg"], style="muse", return_errors=True):
    answer.save("b.jpg")
AsyncClient().stylize("a.jpg", style="muse").content
"""


def mypy(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", CONFIGURATION, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=CONFIGURATION.parent)


def test_an_application_that_uses_all_of_the_client_passes_strict_mypy() -> None:
    done = mypy(str(EXAMPLE))
    assert done.returncode == 0, done.stdout


def test_wrong_calls_are_found_by_mypy(tmp_path: Path) -> None:
    path = tmp_path / "wrong.py"
    path.write_text(WRONG)
    lines = {int(line.split(":")[1]) for line in mypy(str(path)).stdout.splitlines() if ": error:" in line}
    assert lines == {3, 4, 5, 6, 8, 9}
