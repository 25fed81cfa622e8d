"""The scheduling of threads, which an encoder of AV1 changes.

SVT-AV1 makes the thread that opens it, and its own, run in real time where it may, which it may as root. They and all
processes that they start then keep everything else on the machine from running.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_THREADS = Path("/proc/self/task")
"""Folder in which Linux shows the threads of this process."""


@contextmanager
def scheduling_kept() -> Iterator[None]:
    """Give all threads of this process the scheduling that this one had before the block."""
    if sys.platform != "linux":
        yield
        return
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        for thread in _THREADS.iterdir():
            with suppress(ProcessLookupError):  # it has ended
                if os.sched_getscheduler(int(thread.name)) != policy:
                    os.sched_setscheduler(int(thread.name), policy, priority)
