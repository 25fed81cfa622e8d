"""Runs the tests of kernels by Triton's interpreter, in a process of its own: Triton chooses it only when imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.process

MODULES = [
    Path(__file__).with_name(f"test_{name}.py")
    for name in ("normalisation", "style_net", "large_layers", "architectures_on_cuda")
]


@pytest.mark.skipif(torch.cuda.is_available(), reason="the kernels themselves run here")
def test_kernels_pass_their_tests_by_the_interpreter() -> None:
    pytest.importorskip("triton")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *MODULES]

    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"TRITON_INTERPRET": "1"}
    )

    assert done.returncode == 0, done.stdout
