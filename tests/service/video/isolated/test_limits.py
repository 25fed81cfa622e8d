"""What the kernel grants the process of a film."""

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[4]

pytestmark = pytest.mark.process


def outcome_of(attempt: str) -> str:
    """Return what a limited process prints when it attempts something."""
    program = f"""
import pathlib, resource
from service.video.isolated.limits import limit_this_process
limit_this_process(max_pixels=1_000_000, max_seconds=10)
try:
    {attempt}
except (MemoryError, OSError) as error:
    print(type(error).__name__, end="")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=PROJECT, check=True, timeout=60
    )
    return done.stdout


def test_it_has_memory_for_frames_and_no_more() -> None:
    assert outcome_of("bytearray(500_000_000)") == ""
    assert outcome_of("bytearray(3_000_000_000)") == "MemoryError"


def test_it_can_write_no_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert outcome_of(f"pathlib.Path({str(path)!r}).write_bytes(b'something')") == "OSError"
    assert path.read_bytes() == b""


def test_it_can_open_few_files() -> None:
    assert outcome_of("[open('/dev/null') for _ in range(100)]") == "OSError"


def test_it_has_a_minute_of_a_processor_for_each_second_of_a_film_and_one_more() -> None:
    assert outcome_of("print(resource.getrlimit(resource.RLIMIT_CPU)[0], end='')") == "660"
