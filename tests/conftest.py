"""What tests of all packages share."""

import gc
import os
import re
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Never
from unittest import mock

import pytest

from .command import Done, Impasto, run

PICTURES = Path(__file__).parent / "pictures"
RESEARCH_DATA = Path(__file__).parents[2] / "shared" / "data"

# Tests run beside each other, a core for each, and threads that wait should not keep it from others. Torch reads this
# when it is imported, which is later.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let only tests that are marked start a process: `make test-fast` runs the others.

    On a CUDA device, Triton starts compilers.
    """
    if any(item.get_closest_marker(mark) for mark in ("process", "browser", "cuda")):
        return (yield)
    with mock.patch.object(subprocess.Popen, "__init__", _refuse):
        return (yield)


def _refuse(_self: object, command: object, *_args: object, **_options: object) -> Never:
    pytest.fail(f"mark this test with pytest.mark.process: it starts {command}")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Let every test draw the same random numbers, whichever tests ran before it."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


def pytest_collection_finish() -> None:
    """Keep the garbage collector from going through all modules again in each test that calls it."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Have modules freed at the end of the process: libraries complain of what is left over."""
    gc.unfreeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked `cuda` where there is no such device."""
    marked = [item for item in items if item.get_closest_marker("cuda")]
    if marked:
        import torch

        if not torch.cuda.is_available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture
def photo() -> Path:
    """A photo of 600×400."""
    return PICTURES / "coffee.jpg"


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run `impasto serve` in a process of its own, with the bundled models and a light net, and return its address."""
    from model_store.nets import LightStyleNet  # torch reads the variables above
    from model_store.store import Store

    from .drafts import draft_of

    folder = tmp_path_factory.mktemp("served")
    light = LightStyleNet(width=4, residual_blocks=1)
    parameters = {"width": 4, "residual_blocks": 1}
    draft = draft_of("stylize", "muse-light", architecture="light-style-net", parameters=parameters, light_of="muse@1")
    Store(folder / "store").publish(draft, light.state_dict())
    environment = os.environ | {"IMPASTO_STORE": str(folder / "store"), "IMPASTO_DEVICE": "cpu"}
    log = folder / "log"
    command = [Path(sys.executable).with_name("impasto"), "serve", "--port", "0"]
    with log.open("w") as stream:
        process = subprocess.Popen(command, env=environment, stderr=stream)
    try:
        deadline = time.monotonic() + 60
        while not (found := re.search(r"running on (http://\S+)", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield found[1]
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def research_data() -> Path:
    """Benchmarks, loss networks and photos, which are not part of the project."""
    if not RESEARCH_DATA.is_dir():
        pytest.skip("needs the research data")
    return RESEARCH_DATA


@pytest.fixture
def impasto(tmp_path: Path) -> Impasto:
    """Return a function that runs `impasto` in `tmp_path` on the CPU, with an empty store and the bundled models."""
    own = {"IMPASTO_STORE": str(tmp_path / "store"), "IMPASTO_DEVICE": "cpu", "COLUMNS": "120"}

    def impasto(*words: str | Path, **environment: str) -> Done:
        return run(*words, folder=tmp_path, environment=os.environ | own | environment)

    return impasto
