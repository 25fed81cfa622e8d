"""The `impasto` command as typed, run in the process of the test: to start another takes seconds, for torch."""

import contextlib
import io
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol
from unittest import mock

from model_store.command import main


class Done(NamedTuple):
    """The exit code and the output of a command."""

    returncode: int
    stdout: str
    stderr: str


class Impasto(Protocol):
    """A function that runs `impasto` with words and further environment variables."""

    def __call__(self, *words: str | Path, **environment: str) -> Done: ...


def run(*words: str | Path, folder: Path, environment: dict[str, str]) -> Done:
    """Run `impasto` in a folder as a shell would, and leave everything else of this process as it was.

    Args:
        words: after `impasto`.
        folder: to run it in.
        environment: all of its variables.
    """
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with (
        mock.patch.dict(os.environ, environment, clear=True),
        mock.patch.object(sys, "argv", ["impasto", *map(str, words)]),
        mock.patch.object(sys.modules["__main__"], "__package__", None),  # by which typer tells what was typed
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        _state_kept(),
    ):
        returncode = _exit_code(err)
    return Done(returncode, *(stream.buffer.getvalue().decode() for stream in (out, err)))


def _exit_code(err: io.TextIOWrapper) -> int:
    try:
        main()
    except SystemExit as end:
        if not isinstance(end.code, str):
            return end.code or 0
        err.write(f"{end.code}\n")
        return 1
    return 0


@contextlib.contextmanager
def _state_kept() -> Iterator[None]:
    """Give the log and signals the handlers of a new process, and afterwards those that they had before."""
    import torch  # not before the tests have said how many threads it gets

    root, numbers = logging.getLogger(), (signal.SIGINT, signal.SIGTERM)
    handlers, level, actions, threads = (
        root.handlers,
        root.level,
        map(signal.getsignal, numbers),
        torch.get_num_threads(),
    )
    actions = list(actions)
    root.handlers = []
    try:
        yield
    finally:
        root.handlers = handlers
        root.setLevel(level)
        for number, action in zip(numbers, actions, strict=True):
            signal.signal(number, action)
        torch.set_num_threads(threads)
