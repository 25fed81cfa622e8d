"""A server whose device is lost at a dark picture: `python lost_device_server.py --port 8000`, with IMPASTO_WORKERS.

On CUDA it is lost indeed, on a CPU a stand-in says so.
"""

import sys
import threading
import time

import torch
import typer
import uvicorn
from fastapi import FastAPI
from torch import Tensor

from model_store.card import Task
from model_store.nets import TransformNet
from model_store.store import BUNDLED, Model, Store
from service.engine.lane import Lane
from service.server import app as service
from service.server import processes as serving
from service.server.settings import Settings


class Fatal(TransformNet):
    """Says on stderr that it saw a dark picture, takes a second, and then loses the device; other lanes wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self._alone, self._loses = threading.Lock(), False

    def transform(self, pictures: Tensor) -> Tensor:
        with self._alone:
            if not self._loses and pictures.mean() < 0.1:
                print("dark", file=sys.stderr, flush=True)
                time.sleep(1)
                self._loses = True
            if self._loses:
                _lose(pictures)
        return pictures


def _lose(pictures: Tensor) -> None:
    if pictures.is_cuda:
        pictures[:, torch.tensor([1_000_000], device=pictures.device)].cpu()
    else:
        Lane.is_lost = lambda _lane: True  # type: ignore[method-assign]
        raise torch.AcceleratorError("CUDA error: device-side assert triggered")


class FatalStore(Store):
    """The bundled models with that net."""

    def open(self, task: Task, name: str, version: int | None = None) -> Model:
        return Model(super().open(task, name, version).card, Fatal())


def create_app() -> FastAPI:
    settings = Settings()
    torch.set_num_threads(2 * settings.workers)  # two lanes for each, as on CUDA
    return service.create_app(settings, FatalStore(BUNDLED), on_device_lost=serving.end_for_lost_device)


def main(port: int = 8000, grace: int = 30) -> None:
    workers = Settings().workers
    config = uvicorn.Config(
        "lost_device_server:create_app", factory=True, port=port, workers=workers, timeout_worker_healthcheck=60
    )
    (serving.serve_alone if workers == 1 else serving.serve_by_workers)(config, grace)


if __name__ == "__main__":
    typer.run(main)
