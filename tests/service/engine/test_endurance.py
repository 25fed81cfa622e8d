"""What a device does for long: many sizes, many pictures, many nets."""

import copy
import json
import os
import random
import re
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest
import torch
from torch import Tensor

from model_store.nets import SRCNN, Johnson2016StyleNet, StyleNet, SuperResolutionNet, TransformNet
from service.engine.engine import Engine
from service.engine.queue import Output
from service.inference import inference_form

from .nets import SECONDS, noise

MIB = 2**20

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def trained(net: TransformNet, seed: int = 0) -> TransformNet:
    """As if it were, by other weights than it starts with."""
    torch.manual_seed(seed)
    for parameter in net.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    return net.eval().requires_grad_(requires_grad=False)


def memory_in_use(device: torch.device) -> tuple[int, int]:
    """Bytes of the host and of the device."""
    resident = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())
    assert resident is not None
    return 1024 * int(resident[1]), torch.cuda.memory_reserved() if device.type == "cuda" else 0


@pytest.mark.process
@pytest.mark.parametrize(
    ("device", "number", "settings"),
    [
        ("cpu", 40, ""),
        pytest.param("cuda", 500, "", marks=pytest.mark.cuda),
        pytest.param("cuda", 500, "expandable_segments:True", marks=pytest.mark.cuda),
    ],
)
def test_memory_is_bounded_however_many_sizes_there_are_each_larger_than_the_last(
    device: str, number: int, settings: str
) -> None:
    # In a process of its own, because torch reads its limits once.
    command = [sys.executable, str(Path(__file__).with_name("many_sizes.py")), device, str(number)]
    environment = os.environ | ({"PYTORCH_ALLOC_CONF": settings} if settings else {})
    out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment).stdout
    memory = json.loads(out)
    begin = number * 6 // 10  # when torch's plans are as many as it keeps
    for name, most in (("host", 256 * MIB), ("device", 512 * MIB)):
        assert memory[name][-1] - memory[name][begin] < most, f"{name}: {memory[name][:: number // 10]}"
    assert max(memory["differences"]) <= 1, "a graph whose plans torch has long forgotten"


NETS: list[Callable[[], TransformNet]] = [
    lambda: StyleNet(8, 1),
    lambda: SuperResolutionNet(2, 8, 1),
    lambda: SRCNN(2),
    lambda: Johnson2016StyleNet(8),
]


def test_of_many_mixed_pictures_each_is_right_and_memory_stays_flat(each_device: torch.device) -> None:
    number = 2000 if each_device.type == "cuda" else 60
    nets = [trained(make()) for make in NETS]
    forms = [inference_form(copy.deepcopy(net).to(each_device)) for net in nets]
    sizes = [(32, 48), (33, 47), (40, 100)]  # few, so that all that is kept for a size is there before long
    pictures = [noise(*size, seed) for seed, size in enumerate(sizes)]
    with torch.inference_mode():
        wanted = [
            [255 * net(each.permute(2, 0, 1)[None] / 255)[0].permute(1, 2, 0) for each in pictures] for net in nets
        ]
    draws = random.Random(0)  # noqa: S311
    engine = Engine(each_device, 2, 100_000, lanes=2)
    waiting: deque[tuple[Tensor, Future[Output]]] = deque()
    used = []
    for count in range(number):
        which, picture = draws.randrange(len(nets)), draws.randrange(len(pictures))
        waiting.append((wanted[which][picture], engine.submit(forms[which], pictures[picture])))
        while len(waiting) > (48 if count < number - 1 else 0):
            expected, future = waiting.popleft()
            difference = (future.result(SECONDS).pixels.float() - expected).abs()
            assert difference.mean() < 1
            assert difference.max() < 12
        if count in {number // 2, number - 1}:
            used.append(memory_in_use(each_device))
    engine.close()
    for before, after, most in zip(*used, (128 * MIB, 64 * MIB), strict=True):
        assert after - before < most, used
