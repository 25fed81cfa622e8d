"""Load nets in turn on several threads, of which only one is kept, and print by how many MiB this process grew."""

import random
import re
import threading
from pathlib import Path

import torch

from model_store.store import BUNDLED, Store
from service.contract.blend import Blend
from service.device.allocator import give_back_large_blocks
from service.inference import inference_form
from service.models.loaded import Models

STYLES = ("muse", "candy", "udnie", "great-wave")


def resident_mib() -> float:
    resident = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())
    assert resident is not None
    return int(resident[1]) / 1024


def main() -> None:
    give_back_large_blocks()
    models = Models(Store(BUNDLED), torch.device("cpu"), 1, prepare=inference_form)
    models.get("stylize", Blend.of("muse"))
    before = resident_mib()

    def load(seed: int) -> None:
        styles = random.Random(seed)  # noqa: S311
        for _ in range(12):
            models.get("stylize", Blend.of(styles.choice(STYLES)))

    threads = [threading.Thread(target=load, args=(seed,)) for seed in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    print(resident_mib() - before)


if __name__ == "__main__":
    main()
