"""A part of the check: a process of its own, which can fail, hang or crash without ending the others."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

Status = Literal["passed", "failed", "timed out", "cut short", "skipped", "running", "not reached"]

_LEAST_S = 3.0
"""Least seconds for which a part is started."""
_MOST_LOG_BYTES = 500_000
"""Bytes that are kept of a part's output, from its end."""
_MOST_LINES = 12
"""Last lines of a failed part's output that the report shows."""
_MOST_NAMES = 5
"""Failed tests that a remark names."""
_RUNNING_LOG, _RUNNING_JSON = "running.log", "running.json"
"""Names of the files with the output and the results of the running part."""
JSON = "{json}"
"""Placeholder in a command for the file of its results; without one, they are the last line that it prints."""


class Part(NamedTuple):
    """A command of the check."""

    name: str
    command: tuple[str, ...]
    is_test: bool = False
    """Whether the command is pytest, whose summary is read."""
    needs: tuple[str, ...] = ()
    """Modules without which the part is skipped."""
    wants: tuple[str, ...] = ()
    """Modules without which the part does less, which its remark then says."""
    environment: Mapping[str, str] = {}
    """Variables that are added to those of this process."""
    shows: bool = False
    """Whether the report always shows the output, not only after a failure."""


class Outcome(NamedTuple):
    """The outcome of a part."""

    part: Part
    status: Status
    seconds: float = 0.0
    remark: str = ""
    """One line that says what to look at."""
    output: str = ""
    """End of the output that the report shows."""
    results: dict[str, Any] | None = None
    """Results of a benchmark, complete or so far; None if there are none."""


def run(part: Part, folder: Path, seconds: float, missing: frozenset[str] = frozenset()) -> Outcome:
    """Run a part, and kill it with all its processes when its time is over or this process is interrupted.

    Args:
        part: The part.
        folder: The folder whose `log.txt` its output is added to.
        seconds: The time that it may take.
        missing: Modules that are not installed.
    """
    if lacking := missing & set(part.needs):
        return Outcome(part, "skipped", remark=_not_installed(lacking))
    if seconds < _LEAST_S:
        return Outcome(part, "not reached", remark="no time was left")
    log, results = folder / _RUNNING_LOG, folder / _RUNNING_JSON
    results.unlink(missing_ok=True)
    started = time.monotonic()
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [str(results) if word == JSON else word for word in part.command],
            env=os.environ | part.environment,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        ended: int | Status
        try:
            ended = process.wait(seconds)
        except subprocess.TimeoutExpired:
            ended = "timed out"
        except KeyboardInterrupt:
            ended = "cut short"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    took = time.monotonic() - started
    output = _keep(part, log, folder / "log.txt")
    status, remark = _judge(part, ended, output) if isinstance(ended, int) else (ended, f"after: {_last_line(output)}")
    if lacking := missing & set(part.wants):
        remark = "; ".join(filter(None, (remark, _not_installed(lacking))))
    lines = [] if status in {"passed", "skipped"} else output.splitlines()[-_MOST_LINES:]
    outcome = Outcome(part, status, took, remark, output if part.shows else "\n".join(lines), _read(results, output))
    results.unlink(missing_ok=True)
    return outcome


def _not_installed(modules: Iterable[str]) -> str:
    return f"not installed: {', '.join(sorted(modules))}"


def _keep(part: Part, log: Path, logs: Path) -> str:
    """Move the end of a part's output to the log of all parts, and return it."""
    output = log.read_bytes()[-_MOST_LOG_BYTES:].decode(errors="replace")
    with logs.open("a") as stream:
        stream.write(f"\n===== {part.name}: {' '.join(part.command)}\n{output}")
    log.unlink()
    return output


def _judge(part: Part, code: int, output: str) -> tuple[Status, str]:
    """Return the status and the remark of a part that ended by itself."""
    if not part.is_test:
        return ("passed", "") if code == 0 else ("failed", f"exit code {code}: {_last_line(output)}")
    lines = output.splitlines()
    summary = _last_line(output).strip("= ")
    if code == 5 or (code == 0 and not re.search(r"\d+ passed", summary)):
        reasons = [line.partition(": ")[2] for line in lines if line.startswith("SKIPPED ")]
        return "skipped", "; ".join(dict.fromkeys(reasons)) or summary
    failed = [line.partition(" - ")[0] for line in lines if line.startswith(("FAILED ", "ERROR "))]
    named = [*failed[:_MOST_NAMES], f"and {len(failed) - _MOST_NAMES} more"] if len(failed) > _MOST_NAMES else failed
    return ("passed" if code == 0 else "failed"), "; ".join([summary, *named])


def _last_line(output: str) -> str:
    return next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "no output")


def _read(file: Path, output: str) -> dict[str, Any] | None:
    """Return the JSON object in a file or in the last line of the output, if there is a complete one."""
    for text in (file.read_text() if file.exists() else "", _last_line(output)):
        with suppress(ValueError):
            if isinstance(read := json.loads(text), dict):
                return read
    return None
