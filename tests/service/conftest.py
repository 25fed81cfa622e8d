"""Fixtures for a photo, small nets in a store of their own, and a server on a real socket."""

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
    """Return a smooth photo of 48×32 pixels, which differs from each of its mirror images and rotations."""
    rows, columns = np.mgrid[:32, :48]
    return Image.fromarray(np.stack([columns * 5, rows * 7, 200 - rows - columns], axis=-1).astype(np.uint8))


@pytest.fixture(scope="session")
def photo_png(photo: Image.Image) -> bytes:
    buffer = io.BytesIO()
    photo.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return an empty store with its root in `tmp_path`."""
    return Store(tmp_path)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def each_device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """The CPU and CUDA: the same test in small on the one, to know that only the device is new on the other."""
    if request.param == "cuda":
        monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)  # and put back what a test leaves
    return torch.device(request.param)


@pytest.fixture(scope="session")
def cuda_error() -> Callable[[str, int], torch.AcceleratorError]:
    """Make the error that torch raises where a call of CUDA fails."""

    def cuda_error(message: str, code: int) -> torch.AcceleratorError:
        error = torch.AcceleratorError(message)
        error.error_code = code  # type: ignore[attr-defined]
        return error

    return cuda_error


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


@pytest.fixture
def gated_store() -> Iterator[GatedStore]:
    """Yield a store whose `gate` keeps the device, which has one lane, busy from `entered` until `opened`."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    store = GatedStore()
    yield store
    store.gate.opened.set()
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def plain_png() -> Callable[..., bytes]:
    """Return a function that makes pictures of one colour, with the red that is given."""

    def plain_png(red: int, width: int = 20, height: int = 16) -> bytes:
        buffer = io.BytesIO()
        Image.new("RGB", (width, height), (red, 80, 80)).save(buffer, "PNG")
        return buffer.getvalue()

    return plain_png


@pytest.fixture
def slow_store() -> SlowStore:
    """Return a store that sets `entered` when a model is asked for, and waits for `opened`."""
    return SlowStore()


@pytest.fixture
def publish(store: Store) -> Publish:
    """Return a function that publishes a tiny untrained net to the store; `factor` is that of super-resolution."""

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
    """Return a context manager that runs a server, and whose value is the server's address."""
    return _serve


@pytest.fixture(scope="session")
def server(serve: Serve) -> Iterator[str]:
    """Yield the address of a server with the bundled models, which takes up to 1 MiB and 0.14 megapixels."""
    with serve(Settings(device="cpu", max_upload_bytes=1024**2, max_pixels=140_000), Store(BUNDLED)) as url:
        yield url


@pytest.fixture(scope="session")
def http(server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server, timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def until() -> Callable[[Callable[[], bool]], bool]:
    """Return a function that waits up to a minute for a condition, and returns whether it came true."""

    def until(is_so: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + 60
        while not is_so() and time.monotonic() < deadline:
            time.sleep(0.01)
        return is_so()

    return until


@pytest.fixture(scope="session")
def stylize() -> Callable[..., httpx.Response]:
    """Return a function that has a server paint a picture by `muse`; other arguments are headers by name."""

    def stylize(url: str, picture: bytes, **headers: str) -> httpx.Response:
        return httpx.post(f"{url}/stylize?style=muse", content=picture, headers=headers, timeout=60)

    return stylize


@pytest.fixture(scope="session")
def has_a_place() -> Callable[[str], bool]:
    """Return a function that tells whether a server has a free place, by a request that gets 415 if so, else 429."""

    def has_a_place(url: str) -> bool:
        answer = httpx.post(f"{url}/stylize?style=muse", content=b"", headers={"Content-Type": "text/plain"})
        assert answer.status_code in {415, 429}
        return answer.status_code == 415

    return has_a_place


@pytest.fixture(scope="session")
def metric() -> Callable[[str, str], float]:
    """Return a function that adds up all series of a server whose names begin with a text."""

    def metric(url: str, name: str) -> float:
        lines = httpx.get(f"{url}/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    return metric


@pytest.fixture(scope="session")
def parents_drawn() -> Callable[[str], dict[str, str]]:
    """Return a function that reads the tree of errors in a docstring: the name of each class, and of its parent."""

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
