import subprocess
import sys

import pytest

_COUNT_FAULTS = """
import resource
import torch
from trainer.training.allocator import keep_freed_memory

keep_freed_memory()
faults = []
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16, 1024, 1024)
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(*faults)
"""


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_memory_that_was_freed_is_there_for_the_next_step() -> None:
    out = subprocess.run([sys.executable, "-c", _COUNT_FAULTS], capture_output=True, text=True, check=True)
    first, second = map(int, out.stdout.split())
    assert second < first / 10
