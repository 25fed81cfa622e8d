"""Kills `impasto` while it trains, at a moment that does not depend on how fast it is."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_IMPASTO = Path(sys.executable).with_name("impasto")
_SITE = """
import itertools, os, pathlib, signal

command = int(os.environ.setdefault("KILLED_COMMAND", str(os.getpid())))  # which the processes it starts inherit
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
    """Run `impasto` until it is killed when it, or a process that it started, replaces a checkpoint; wait for them all.

    Args:
        number: of the checkpoint, from 1, counted in each process; it is written, and not yet at its place.
        words: after `impasto`.
        environment: of the command.
        folder: to run it in.
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
