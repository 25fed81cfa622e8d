"""A server whose nets never finish: `python endless_server.py --port 8000 --grace 0`, with IMPASTO_WORKERS."""

import sys
import threading

import typer
import uvicorn
from fastapi import FastAPI
from torch import Tensor

from model_store.card import Task
from model_store.nets import TransformNet
from model_store.store import BUNDLED, Model, Store
from service.server import app as service
from service.server import processes as serving
from service.server.settings import Settings


class Endless(TransformNet):
    """A net that says on stderr that it began, and never finishes."""

    def transform(self, pictures: Tensor) -> Tensor:
        print("computing", file=sys.stderr, flush=True)
        threading.Event().wait()
        return pictures


class EndlessStore(Store):
    """A store of the bundled models, all with the endless net."""

    def open(self, task: Task, name: str, version: int | None = None) -> Model:
        return Model(super().open(task, name, version).card, Endless())


def create_app() -> FastAPI:
    return service.create_app(Settings(), EndlessStore(BUNDLED))


def main(port: int = 8000, grace: int = 30) -> None:
    workers = Settings().workers
    config = uvicorn.Config("endless_server:create_app", factory=True, port=port, workers=workers)
    (serving.serve_alone if workers == 1 else serving.serve_by_workers)(config, grace)


if __name__ == "__main__":
    typer.run(main)
