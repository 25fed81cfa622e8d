"""Stores for the tests, some of which make a server wait."""

import threading
import time
from concurrent.futures import CancelledError
from typing import Protocol

from torch import Tensor

from model_store.card import Card, Task
from model_store.nets import TransformNet
from model_store.store import BUNDLED, Model, Store
from service.inference import pieces


class Publish(Protocol):
    """A function that publishes a tiny untrained net to the store; `factor` is that of super-resolution."""

    def __call__(self, task: Task, name: str, width: int = 4, factor: int = 2) -> Card: ...


class SlowStore(Store):
    """A store of the bundled models, which sets `entered` when it opens one, and waits for `opened` before it does."""

    def __init__(self) -> None:
        super().__init__(BUNDLED)
        self.entered, self.opened = threading.Event(), threading.Event()

    def open(self, task: Task, name: str, version: int | None = None) -> Model:
        self.entered.set()
        assert self.opened.wait(30)
        return super().open(task, name, version)


class Gate(TransformNet):
    """A net that waits for `opened`; `seen` has the red, 0 to 255, of the first pixel of each picture it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.opened = threading.Event(), threading.Event()
        self.seen: list[int] = []

    def transform(self, pictures: Tensor) -> Tensor:
        self.seen += (pictures[:, 0, 0, 0] * 255).round().int().tolist()
        self.entered.set()
        assert self.opened.wait(30)
        return pictures


class GatedStore(Store):
    """A store of the bundled models, all with the same gate as their net."""

    def __init__(self) -> None:
        super().__init__(BUNDLED)
        self.gate = Gate()

    def open(self, task: Task, name: str, version: int | None = None) -> Model:
        return Model(super().open(task, name, version).card, self.gate)


class Endless(TransformNet):
    """A net that computes every picture in pieces without end; `stopped` is set when the engine ends one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.stopped = threading.Event(), threading.Event()

    def is_large(self, height: int, width: int) -> bool:  # noqa: ARG002
        return True

    def compute_in_pieces(self, pixels: Tensor) -> Tensor:
        ends = time.monotonic() + 30
        self.entered.set()
        try:
            while time.monotonic() < ends:
                time.sleep(0.005)
                pieces.pause()
        except CancelledError:
            self.stopped.set()
            raise
        return pixels


class EndlessStore(Store):
    """A store of the bundled models, all with the same endless net."""

    def __init__(self) -> None:
        super().__init__(BUNDLED)
        self.net = Endless()

    def open(self, task: Task, name: str, version: int | None = None) -> Model:
        return Model(super().open(task, name, version).card, self.net)


class Turnstile(TransformNet):
    """A net that computes as many pictures as `permits` has been released for, and fails at those above `most`."""

    def __init__(self) -> None:
        super().__init__()
        self.permits = threading.Semaphore(0)
        self.most = 1_000_000
        self.passed = 0

    def transform(self, pictures: Tensor) -> Tensor:
        assert self.permits.acquire(timeout=30)
        self.passed += 1
        if self.passed > self.most:
            raise ValueError("one picture too many")
        return 1 - pictures


class TurnstileStore(Store):
    """A store of the bundled models, all with the same turnstile as their net."""

    def __init__(self) -> None:
        super().__init__(BUNDLED)
        self.net = Turnstile()

    def open(self, task: Task, name: str, version: int | None = None) -> Model:
        return Model(super().open(task, name, version).card, self.net)
