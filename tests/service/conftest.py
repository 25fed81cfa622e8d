"""Fixtures for a photo, small nets in a store of their own, and a server on a real socket."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from model_store.card import Card, Task
from model_store.nets import build
from model_store.store import BUNDLED, Store
from service.server.settings import Settings

from ..drafts import draft_of
from ..picture_files import encoded
from .serving import serve
from .stores import GatedStore, Publish, SlowStore


@pytest.fixture(scope="session")
def photo() -> Image.Image:
    """Return a smooth photo of 48×32 pixels, which differs from each of its mirror images and rotations."""
    rows, columns = np.mgrid[:32, :48]
    return Image.fromarray(np.stack([columns * 5, rows * 7, 200 - rows - columns], axis=-1).astype(np.uint8))


@pytest.fixture(scope="session")
def photo_png(photo: Image.Image) -> bytes:
    return encoded(photo)


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


@pytest.fixture
def gated_store() -> Iterator[GatedStore]:
    """Yield a store whose `gate` keeps the device, which has one lane, busy from `entered` until `opened`."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    store = GatedStore()
    yield store
    store.gate.opened.set()
    torch.set_num_threads(threads)


@pytest.fixture
def slow_store() -> SlowStore:
    """Return a store that sets `entered` when a model is asked for, and waits for `opened`."""
    return SlowStore()


@pytest.fixture
def publish(store: Store) -> Publish:
    """Return a function that publishes a tiny untrained net to the store; `factor` is that of super-resolution."""

    def publish(task: Task, name: str, width: int = 4, factor: int = 2) -> Card:
        draft = draft_of(task, name, width, factor)
        return store.publish(draft, build(draft.architecture, draft.parameters).state_dict())

    return publish


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Yield the address of a server with the bundled models, which takes up to 1 MiB and 0.14 megapixels."""
    with serve(Settings(device="cpu", max_upload_bytes=1024**2, max_pixels=140_000), Store(BUNDLED)) as url:
        yield url


@pytest.fixture(scope="session")
def http(server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server, timeout=60) as client:
        yield client
