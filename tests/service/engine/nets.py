"""Nets that stand in for real ones, and pictures for them."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import ClassVar

import torch
from torch import Tensor

from model_store.nets import TransformNet
from service.engine.engine import Engine
from service.engine.queue import Output

CPU = torch.device("cpu")
SECONDS = 30


def picture(height: int = 32, width: int = 48, level: int = 100) -> Tensor:
    return torch.full((height, width, 3), level, dtype=torch.uint8)


def noise(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (height, width, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def result(future: Future[Output]) -> Output:
    return future.result(SECONDS)


class Negative(TransformNet):
    """A net that inverts pictures, and remembers its batches by the levels of the pictures' first pixels."""

    multiple: ClassVar[int] = 4

    def __init__(self) -> None:
        super().__init__()
        self.eval()
        self.batches: list[list[int]] = []

    def transform(self, pictures: Tensor) -> Tensor:
        self.batches.append((pictures[:, 0, 0, 0] * 255).round().int().tolist())
        return 1 - pictures


class Gate(TransformNet):
    """A net that keeps the device busy until it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.opened = threading.Event(), threading.Event()

    def transform(self, pictures: Tensor) -> Tensor:
        self.entered.set()
        assert self.opened.wait(SECONDS)
        return pictures


@contextmanager
def busy(engine: Engine) -> Iterator[None]:
    """Keep the device busy, so that pictures submitted inside the block wait until it ends."""
    gate = Gate()
    future = engine.submit(gate, picture())
    assert gate.entered.wait(SECONDS)
    try:
        yield
    finally:
        gate.opened.set()
    result(future)
