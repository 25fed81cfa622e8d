"""Tests of the memory that nets need on a CPU, measured in processes of their own."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.process

_MEASURE = r"""
import re, sys
from pathlib import Path
import torch
from model_store.nets import Johnson2016StyleNet, LightStyleNet, SelfEnsemble, StyleNet, SuperResolutionNet
from service.device.allocator import give_back_large_blocks
from service.inference import inference_form
from service.engine.lane import Lane

give_back_large_blocks()
torch.set_num_threads(1)
net = eval(sys.argv[1])
side = int(sys.argv[2])
lane = Lane(torch.device("cpu"))
# ru_maxrss would not do, because it begins with the parent's.
peak = lambda: 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
lane.compute(net, [torch.zeros(64, 64, 3, dtype=torch.uint8)])
before = peak()
lane.compute(net, [torch.zeros(side, side, 3, dtype=torch.uint8)])
print((peak() - before) / side**2, net.bytes_needed(side, side) / side**2)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("net", "side"),
    [
        ("inference_form(StyleNet(width=16, residual_blocks=1).eval())", 1400),
        ("inference_form(LightStyleNet(width=48, residual_blocks=1).eval())", 1400),
        ("inference_form(SuperResolutionNet(2, 64, 1).eval())", 700),
        ("inference_form(SuperResolutionNet(4, 32, 1).eval())", 700),
        ("inference_form(SuperResolutionNet(8, 32, 1).eval())", 400),
        ("SelfEnsemble(inference_form(SuperResolutionNet(8, 8, 1).eval()))", 300),
        ("Johnson2016StyleNet().eval()", 700),
    ],
)
def test_a_net_needs_no_more_memory_than_it_states_and_not_much_less(net: str, side: int) -> None:
    out = subprocess.run([sys.executable, "-c", _MEASURE, net, str(side)], capture_output=True, text=True, check=True)
    measured, told = map(float, out.stdout.split())
    assert measured <= told
    assert "inference_form" not in net or told <= 2.5 * measured
