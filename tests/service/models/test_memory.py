"""Memory of nets that come and go."""

import subprocess
import sys

import pytest


@pytest.mark.process
def test_memory_stays_near_that_of_the_nets_that_are_kept_however_many_are_loaded() -> None:
    # In a process of its own, because glibc's settings hold for all of a process.
    command = [sys.executable, "-m", "tests.service.models.loading_in_turn"]
    grown_mib = float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    assert grown_mib < 90  # a net has 30; what glibc keeps for itself would be 110 to 170
