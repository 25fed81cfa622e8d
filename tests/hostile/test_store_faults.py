"""Each fault while a model is published or taken up: readers see whole versions, and the next one is well."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from model_store.card import Card
from model_store.errors import CannotPublish
from model_store.nets import build
from model_store.store import Store
from service.contract.blend import Blend
from service.models.loaded import Models

from ..drafts import draft_of
from .fault_table import CELLS_OF_MODELS, TABLE
from .faults import Fault

PROJECT = Path(__file__).parents[2]
OF_PUBLISHING = [fault for stage, fault in CELLS_OF_MODELS if stage == "publish"]
OF_RELOADING = [fault for stage, fault in CELLS_OF_MODELS if stage == "reload"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    publish(store)
    return store


def publish(store: Store) -> Card:
    draft = draft_of("stylize", "tiny")
    return store.publish(draft, build(draft.architecture, draft.parameters).state_dict())


def assert_is_whole(store: Store, versions: list[int]) -> None:
    assert store.versions("stylize", "tiny") == versions
    assert [store.open("stylize", "tiny", version).card.version for version in versions] == versions


@pytest.fixture
def fault(request: pytest.FixtureRequest) -> Iterator[Fault]:
    fault = Fault(request.param)
    yield fault
    fault.over.set()


@pytest.mark.parametrize("fault", [each for each in OF_PUBLISHING if each != "killed"], indirect=True)
def test_a_fault_while_a_model_is_published(store: Store, fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    fault.put_before("pathlib.Path.rename", monkeypatch)  # all files are written, and not in their place yet
    results: list[str] = []

    def try_to_publish() -> None:
        try:
            publish(store)
            results.append("published")
        except (CannotPublish, RuntimeError, MemoryError):
            results.append("refused")

    publishing = threading.Thread(target=try_to_publish)
    publishing.start()
    assert fault.entered.wait(30)
    if TABLE["publish"][fault.kind] == "waits":
        assert_is_whole(store, [1])
        assert not results
    fault.over.set()
    publishing.join(30)
    expected = {"waits": "published"}.get(TABLE["publish"][fault.kind], TABLE["publish"][fault.kind])
    assert results == [expected]
    there = [1, 2] if expected == "published" else [1]
    assert_is_whole(store, there)
    assert publish(store).version == len(there) + 1


@pytest.mark.process
def test_a_publisher_that_is_killed_leaves_nothing_that_readers_see(store: Store, tmp_path: Path) -> None:
    program = (
        "import os, pathlib, signal, sys; from model_store.store import Store;"
        "from tests.hostile.test_store_faults import publish;"
        "pathlib.Path.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL);"
        "publish(Store(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "store"], cwd=PROJECT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert TABLE["publish"]["killed"] == "nothing"
    assert_is_whole(store, [1])
    assert publish(store).version == 2


@pytest.mark.parametrize("seam", ["versions", "open"])
@pytest.mark.parametrize("fault", OF_RELOADING, indirect=True)
def test_a_fault_while_a_new_version_is_taken_up(
    store: Store, fault: Fault, seam: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, tiny = Models(store, torch.device("cpu")), Blend.parse("tiny")
    assert models.get("stylize", tiny).label == "tiny@1"
    publish(store)
    with monkeypatch.context() as patched:
        fault.put_before(f"model_store.store.Store.{seam}", patched)
        looking = threading.Thread(target=models.refresh)
        looking.start()
        assert fault.entered.wait(30)
        if fault.kind not in {"hang", "slow disk"}:
            looking.join(30)
        served = models.get("stylize", tiny).label
        assert served == {"old version": "tiny@1", "new version": "tiny@2"}[TABLE["reload"][fault.kind]]
        fault.over.set()
        looking.join(30)
    models.refresh()
    assert models.get("stylize", tiny).label == "tiny@2"


@pytest.mark.process
def test_publishers_killed_at_any_moment_leave_no_half_model_to_readers() -> None:
    command = [sys.executable, "-m", "tests.hostile.publishing_races", "--rounds", "20"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert (seen["rounds"], seen["publishers killed"]) == (20, 40)
    assert seen["taken up"] > 1
