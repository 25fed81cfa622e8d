"""How many cores this process may use."""

import math
import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
"""Where Linux tells the limits of this process's container."""


def usable_cores(cgroups: Path = CGROUPS) -> int:
    """Cores that this process may use: those that it may run on, or fewer where its container has a quota of time.

    Args:
        cgroups: where Linux tells the quota.

    Returns:
        At least 1; of a quota of one core and a half, 2.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(cgroups)
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def _quota(cgroups: Path) -> float | None:
    """Of the container, in cores; cgroups of version 2 write `max` where there is none, those of version 1 -1."""
    together = cgroups / "cpu.max"
    apart = (cgroups / "cpu/cpu.cfs_quota_us", cgroups / "cpu/cpu.cfs_period_us")
    if together.is_file():
        quota, period = together.read_text().split()
    elif all(file.is_file() for file in apart):
        quota, period = (file.read_text() for file in apart)
    else:
        return None
    return None if quota == "max" or int(quota) < 0 else int(quota) / int(period)
