"""How much memory there is."""

import os
from pathlib import Path

import torch

_CGROUPS = Path("/sys/fs/cgroup")
_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")
"""Of this process's container, in version 2 and in version 1."""


def memory_of(device: torch.device, cgroups: Path = _CGROUPS) -> int:
    """Bytes that this process may use.

    Args:
        device: of CUDA, what is free now counts; of the CPU, what the machine has, or the container's limit.
        cgroups: where Linux tells the limit.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    texts = [(cgroups / limit).read_text().strip() for limit in _LIMITS if (cgroups / limit).is_file()]
    return min([machine, *(int(text) for text in texts if text != "max")])
