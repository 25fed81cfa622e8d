"""A way to kill `impasto` while it trains, at a moment that does not depend on how fast it is."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_IMPASTO = Path(sys.executable).with_name("impasto")
_SITE = """
import itertools, os, pathlib, signal

command = int(os.environ.setdefault("KILLED_COMMAND", str(os.getpid())))  # the processes that it starts inherit this
replace, checkpoints = pathlib.Path.replace, itertools.count(1)

def replace_or_kill(aside, path):
    if path.name == "checkpoint.safetensors" and next(checkpoints) == {number}:
        os.kill(command, signal.SIGKILL)
    return replace(aside, path)

pathlib.Path.replace = replace_or_kill
"""


def killed_at_checkpoint(
    number: int, words: Sequence[str | Path], environment: Mapping[str, str], folder: Path
) -> "subprocess.CompletedProcess[str]":
    """Run `impasto`, kill it when it or a process that it started replaces a checkpoint, and wait for all processes.

    Args:
        number: Number of that checkpoint, from 1, counted in each process; it is written, but not yet renamed.
        words: Words of the command line after `impasto`.
        environment: Environment of the command.
        folder: Folder to run the command in.
    """
    site = folder / "killed"
    site.mkdir()
    (site / "sitecustomize.py").write_text(_SITE.format(number=number))
    path = os.pathsep.join([str(site), *filter(None, [environment.get("PYTHONPATH")])])
    return subprocess.run(
        [_IMPASTO, *words],
        env={**environment, "PYTHONPATH": path},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
