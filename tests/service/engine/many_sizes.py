"""Paint pictures of ever larger sizes, and print the memory in use after each: `python many_sizes.py cuda 500`.

Prints lists as JSON: `host`, bytes of resident memory of this process, and `device`, bytes taken from the device. In
between, one picture is painted again and again; `differences` are the levels by which it differed from the first time.
"""

import json
import re
import sys
from pathlib import Path

import torch

from model_store.nets import StyleNet
from service.device.allocator import give_back_large_blocks, limit_plans
from service.engine.lane import Lane
from service.inference import inference_form


def main(device: torch.device, number: int) -> None:
    if device.type == "cuda":
        limit_plans()
    else:
        give_back_large_blocks()
    torch.manual_seed(0)
    net = inference_form(StyleNet(8, 1).eval().requires_grad_(requires_grad=False).to(device))
    lane = Lane(device)
    picture = torch.randint(0, 256, (48, 64, 3), dtype=torch.uint8)
    (first,) = lane.compute(net, [picture])
    memory: dict[str, list[int]] = {"host": [], "device": [], "differences": []}
    for step in range(number):
        for _ in range(3):  # seen, captured, replayed
            lane.compute(net, [torch.zeros(64, 64 + 4 * step, 3, dtype=torch.uint8)])
        (again,) = lane.compute(net, [picture])
        memory["differences"].append(int((again.int() - first.int()).abs().max()))
        resident = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())
        assert resident is not None
        memory["host"].append(1024 * int(resident[1]))
        memory["device"].append(torch.cuda.memory_reserved() if device.type == "cuda" else 0)
    print(json.dumps(memory))


if __name__ == "__main__":
    main(torch.device(sys.argv[1]), int(sys.argv[2]))
