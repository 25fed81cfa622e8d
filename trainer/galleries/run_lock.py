"""The lock that keeps two processes from training in the same folder."""

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path

from trainer.errors import BadRun

_LOCK = "lock"
_SECONDS_BETWEEN_TRIES = 0.5


@contextlib.contextmanager
def locked(folder: Path, patience: float = 30.0) -> Iterator[None]:
    """Hold the lock of a run's folder, which the system frees if the process dies.

    Args:
        folder: Existing folder of the run.
        patience: Seconds to wait for another process, which may be about to end because its parent was killed.
    """
    deadline = time.monotonic() + patience
    with (folder / _LOCK).open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    raise BadRun(f"another process trains in {folder}: wait for it or stop it") from error
                time.sleep(_SECONDS_BETWEEN_TRIES)
        yield
