"""A photo, small nets in a store of their own, and a server on a real socket."""

import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
import uvicorn
from PIL import Image
from torch import Tensor

from model_store.card import Card, Draft, Task
from model_store.nets import TransformNet, build
from model_store.store import BUNDLED, Model, Store
from service.server.app import create_app
from service.server.settings import Settings

Publish = Callable[..., Card]
Serve = Callable[[Settings, Store], AbstractContextManager[str]]


@pytest.fixture(scope="session")
def photo() -> Image.Image:
    """48×32, smooth, and different from each of its mirrorings and turns."""
    rows, columns = np.mgrid[:32, :48]
    return Image.fromarray(np.stack([columns * 5, rows * 7, 200 - rows - columns], axis=-1).astype(np.uint8))


@pytest.fixture(scope="session")
def photo_png(photo: Image.Image) -> bytes:
    buffer = io.BytesIO()
    photo.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Empty, with its root in `tmp_path`."""
    return Store(tmp_path)


class SlowStore(Store):
    """The bundled models, which open only when they are let."""

    def __init__(self) -> None:
        super().__init__(BUNDLED)
        self.entered, self.opened = threading.Event(), threading.Event()

    def open(self, task: Task, name: str, version: int | None = None) -> Model:
        self.entered.set()
        assert self.opened.wait(30)
        return super().open(task, name, version)


class Gate(TransformNet):
    """Waits to be opened; remembers the red, 0 to 255, of the first pixel of each picture that came through."""

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
    """The bundled models, each with one gate for its net."""

    def __init__(self) -> None:
        super().__init__(BUNDLED)
        self.gate = Gate()

    def open(self, task: Task, name: str, version: int | None = None) -> Model:
        return Model(super().open(task, name, version).card, self.gate)


@pytest.fixture
def gated_store() -> Iterator[GatedStore]:
    """Its `gate` keeps the device, which has one lane, busy until it is `opened`; `entered` tells when it does."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    store = GatedStore()
    yield store
    store.gate.opened.set()
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def plain_png() -> Callable[..., bytes]:
    """Makes pictures of one red."""

    def plain_png(red: int, width: int = 20, height: int = 16) -> bytes:
        buffer = io.BytesIO()
        Image.new("RGB", (width, height), (red, 80, 80)).save(buffer, "PNG")
        return buffer.getvalue()

    return plain_png


@pytest.fixture
def slow_store() -> SlowStore:
    """Tells by `entered` that a model is asked for, and waits for `opened`."""
    return SlowStore()


@pytest.fixture
def publish(store: Store) -> Publish:
    """Publishes a tiny untrained net to the store under a name; the factor is that of super-resolution."""

    def publish(task: Task, name: str, width: int = 4, factor: int = 2) -> Card:
        if task == "stylize":
            architecture, parameters = "style-net", {"width": width, "residual_blocks": 1}
        else:
            architecture = "super-resolution-net"
            parameters = {"channels": width, "residual_blocks": 1, "factor": factor}
        draft = Draft(
            task=task,
            name=name,
            title=name,
            description="Untrained, for tests.",
            architecture=architecture,
            parameters=parameters,
            factor=None if task == "stylize" else factor,
            recipe={},
            training_data="none",
            loss_network="none",
            licence="CC0-1.0",
            author="tests",
        )
        return store.publish(draft, build(architecture, parameters).state_dict())

    return publish


@contextmanager
def _serve(settings: Settings, store: Store) -> Iterator[str]:
    # The socket listens before the server runs, so that a first request waits until it is ready.
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(create_app(settings, store), log_level="critical"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            httpx.get(f"{url}/livez", timeout=60).raise_for_status()
            yield url
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="session")
def serve() -> Serve:
    """Runs a server as long as the `with` block; its address is the value."""
    return _serve


@pytest.fixture(scope="session")
def server(serve: Serve) -> Iterator[str]:
    """The address of a server with the bundled models, which takes up to 1 MiB and 0.14 megapixels."""
    with serve(Settings(device="cpu", max_upload_bytes=1024**2, max_pixels=140_000), Store(BUNDLED)) as url:
        yield url


@pytest.fixture(scope="session")
def http(server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server, timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def until() -> Callable[[Callable[[], bool]], bool]:
    """Asks again and again, for 20 seconds at most; whether it became so."""

    def until(is_so: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + 20
        while not is_so() and time.monotonic() < deadline:
            time.sleep(0.01)
        return is_so()

    return until


@pytest.fixture(scope="session")
def stylize() -> Callable[..., httpx.Response]:
    """Sends a picture to a server, to be painted by `muse`, with headers by their names."""

    def stylize(url: str, picture: bytes, **headers: str) -> httpx.Response:
        return httpx.post(f"{url}/stylize?style=muse", content=picture, headers=headers, timeout=60)

    return stylize


@pytest.fixture(scope="session")
def has_a_place() -> Callable[[str], bool]:
    """Whether a request to a server is read: this one's type is wrong, unless it is refused before that is seen."""

    def has_a_place(url: str) -> bool:
        answer = httpx.post(f"{url}/stylize?style=muse", content=b"", headers={"Content-Type": "text/plain"})
        assert answer.status_code in {415, 429}
        return answer.status_code == 415

    return has_a_place


@pytest.fixture(scope="session")
def metric() -> Callable[[str, str], float]:
    """The sum of all series of a server whose names begin so."""

    def metric(url: str, name: str) -> float:
        lines = httpx.get(f"{url}/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    return metric


@pytest.fixture(scope="session")
def parents_drawn() -> Callable[[str], dict[str, str]]:
    """Reads the tree of errors in a module's docstring: each class by name, and its parent's name."""

    def parents_drawn(docstring: str) -> dict[str, str]:
        lines = docstring.splitlines()
        branches = [line for line in lines if "── " in line]
        path = [lines[lines.index(branches[0]) - 1].strip()]
        parents = {}
        for line in branches:
            before, _, after = line.partition("── ")
            path[len(before) // 4 + 1 :] = [after.split()[0]]
            parents[path[-1]] = path[-2]
        return parents

    return parents_drawn
