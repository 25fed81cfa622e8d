"""The folders in which models are written aside before they are renamed into place, on a local root.

A publisher holds a lock on its folder for as long as it lives. So the next one knows which folders belong to publishers
that were killed, and removes them.
"""

import contextlib
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

_PREFIX = ".publishing-"


@contextlib.contextmanager
def staging_folder(root: Path) -> Iterator[Path]:
    """Make a folder in a root, and remove it at the end of the `with` block unless it was renamed.

    Folders that were left by publishers that were killed are removed, too, where the file system has locks.

    Raises:
        OSError: The root cannot be written to.
    """
    root.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as locked:
        with _opened(root) as descriptor:  # nobody removes a folder before its publisher has locked it
            _lock(descriptor)
            for each in root.glob(f"{_PREFIX}*"):
                _remove_if_abandoned(each)
            folder = root / f"{_PREFIX}{uuid.uuid4().hex}"
            folder.mkdir()
            _lock(locked.enter_context(_opened(folder)))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _remove_if_abandoned(folder: Path) -> None:
    with contextlib.suppress(OSError), _opened(folder) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)


def _lock(descriptor: int) -> None:
    """Wait for the lock of a folder, which is given back when it is closed or the process ends."""
    with contextlib.suppress(OSError):  # some file systems have no locks: then nothing is ever removed either
        fcntl.flock(descriptor, fcntl.LOCK_EX)


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
