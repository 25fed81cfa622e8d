"""The number of cores that this process may use."""

import math
import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
"""Folder in which Linux shows the limits of this process's container."""


def usable_cores(cgroups: Path = CGROUPS) -> int:
    """Return the number of cores that this process may use.

    They are the cores that the system lets it run on, or fewer if its container has a quota of processor time.

    Args:
        cgroups: Folder in which Linux shows the quota.

    Returns:
        A number of at least 1; a quota of one and a half cores counts as 2.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(cgroups)
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def _quota(cgroups: Path) -> float | None:
    """Return the container's quota of processor time in cores, or None if it has none.

    Without a quota, version 2 of cgroups says `max`, and version 1 says -1.
    """
    together = cgroups / "cpu.max"
    apart = (cgroups / "cpu/cpu.cfs_quota_us", cgroups / "cpu/cpu.cfs_period_us")
    if together.is_file():
        quota, period = together.read_text().split()
    elif all(file.is_file() for file in apart):
        quota, period = (file.read_text() for file in apart)
    else:
        return None
    return None if quota == "max" or int(quota) < 0 else int(quota) / int(period)
