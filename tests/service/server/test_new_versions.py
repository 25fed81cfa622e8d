"""New versions of models in use: what `Models.refresh` does, and what requests notice of it."""

import logging
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import torch

from model_store.nets import TransformNet
from model_store.store import Store
from service.contract.blend import Blend
from service.contract.problems import BadOption, Unavailable, UnknownModel
from service.models.loaded import Loaded, Models
from service.server.settings import Settings

from ..serving import serve
from ..stores import Publish

CPU = torch.device("cpu")


@pytest.fixture
def models(store: Store) -> Models:
    return Models(store, CPU)


def damage(root: Path, place: str) -> bytes:
    """Change the weights of a version, and return what they were."""
    weights = root / place / "model.safetensors"
    good = weights.read_bytes()
    weights.write_bytes(good[:-1] + b"?")
    return good


def test_a_name_stands_for_a_new_version_after_a_refresh(models: Models, publish: Publish) -> None:
    publish("stylize", "tiny")
    models.get("stylize", Blend.parse("tiny"))
    publish("stylize", "tiny")
    assert models.get("stylize", Blend.parse("tiny")).label == "tiny@1"
    assert models.served_version("stylize", "tiny") == 1
    models.refresh()
    assert models.get("stylize", Blend.parse("tiny")).label == "tiny@2"
    assert models.get("stylize", Blend.parse("tiny@1")).label == "tiny@1"
    assert models.served_version("stylize", "tiny") == 2


def test_a_refresh_without_new_versions_leaves_every_net_as_it_is(models: Models, publish: Publish) -> None:
    publish("stylize", "tiny")
    loaded = models.get("stylize", Blend.parse("tiny"))
    models.refresh()
    assert models.get("stylize", Blend.parse("tiny")) is loaded


def test_names_that_are_not_in_use_are_not_loaded(models: Models, publish: Publish) -> None:
    for name in ("used", "unused", "unused"):
        publish("stylize", name)
    models.get("stylize", Blend.parse("used"))
    models.get("stylize", Blend.parse("unused@1"))
    models.refresh()
    assert not models.is_loaded("stylize", "unused", 2)


def test_no_request_waits_for_a_new_version(store: Store, publish: Publish) -> None:
    loading, go_on = threading.Event(), threading.Event()
    go_on.set()

    def prepare(net: TransformNet) -> TransformNet:
        loading.set()
        assert go_on.wait(30)
        return net

    models = Models(store, CPU, prepare=prepare)
    publish("stylize", "tiny")
    publish("stylize", "other")
    old, old_blend = (models.get("stylize", Blend.parse(text)) for text in ("tiny", "tiny:1,other:1"))
    publish("stylize", "tiny")
    loading.clear()
    go_on.clear()
    with ThreadPoolExecutor(1) as thread:
        look = thread.submit(models.refresh)
        assert loading.wait(30)
        assert models.get("stylize", Blend.parse("tiny")) is old
        assert models.get("stylize", Blend.parse("tiny:1,other:1")) is old_blend
        go_on.set()
        look.result()
    go_on.clear()  # from now on nothing can be loaded
    assert models.get("stylize", Blend.parse("tiny")).label == "tiny@2"
    assert models.get("stylize", Blend.parse("tiny:1,other:1")).label == "other@1:0.5,tiny@2:0.5"


def test_blends_of_a_name_follow_and_those_of_a_version_do_not(models: Models, publish: Publish) -> None:
    for name in ("tiny", "other"):
        publish("stylize", name)
    by_name, by_version = "tiny:0.7,other:0.3", "tiny@1:0.7,other:0.3"
    assert models.get("stylize", Blend.parse(by_name)) is models.get("stylize", Blend.parse(by_version))
    publish("stylize", "tiny")
    models.refresh()
    assert models.get("stylize", Blend.parse(by_name)).label == "tiny@2:0.7,other@1:0.3"
    assert models.get("stylize", Blend.parse(by_version)).label == "tiny@1:0.7,other@1:0.3"


def test_a_blend_that_does_not_fit_a_new_version_is_refused_and_the_name_takes_it(
    models: Models, publish: Publish
) -> None:
    for name in ("tiny", "other"):
        publish("stylize", name)
    models.get("stylize", Blend.parse("tiny:1,other:1"))
    publish("stylize", "tiny", width=8)
    models.refresh()
    assert models.get("stylize", Blend.parse("tiny")).label == "tiny@2"
    with pytest.raises(BadOption, match=r"tiny@2:0\.5 cannot be blended"):
        models.get("stylize", Blend.parse("tiny:1,other:1"))


def test_a_running_request_keeps_its_net(models: Models, publish: Publish) -> None:
    publish("stylize", "tiny")
    held = models.get("stylize", Blend.parse("tiny"))
    picture = torch.rand(1, 3, 16, 20)
    before = held.net(picture)
    publish("stylize", "tiny")
    models.refresh()
    models.get("stylize", Blend.parse("tiny"))
    models.shrink()
    assert torch.equal(held.net(picture), before)


def test_the_old_version_is_the_first_to_be_dropped(store: Store, models: Models, publish: Publish) -> None:
    publish("stylize", "tiny")
    size = sum(tensor.nbytes for tensor in models.get("stylize", Blend.parse("tiny")).net.state_dict().values())
    models = Models(store, CPU, most_bytes=size)
    models.get("stylize", Blend.parse("tiny"))
    publish("stylize", "tiny")
    models.refresh()
    assert [models.is_loaded("stylize", "tiny", version) for version in (1, 2)] == [False, True]


def test_a_damaged_version_is_logged_once_and_the_old_one_is_served_until_it_is_restored(
    models: Models, publish: Publish, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publish("stylize", "tiny")
    old = models.get("stylize", Blend.parse("tiny"))
    publish("stylize", "tiny")
    good = damage(tmp_path, "stylize/tiny/2")
    for _ in range(3):
        models.refresh()
        assert models.get("stylize", Blend.parse("tiny")) is old
    assert [record.levelno for record in caplog.records if "stylize/tiny@2" in record.message] == [logging.ERROR]
    (tmp_path / "stylize" / "tiny" / "2" / "model.safetensors").write_bytes(good)
    models.refresh()
    assert models.get("stylize", Blend.parse("tiny")).label == "tiny@2"


def test_the_newest_undamaged_version_is_served(models: Models, publish: Publish, tmp_path: Path) -> None:
    publish("stylize", "tiny")
    models.get("stylize", Blend.parse("tiny"))
    for _ in range(2):
        publish("stylize", "tiny")
    damage(tmp_path, "stylize/tiny/3")
    models.refresh()
    assert models.get("stylize", Blend.parse("tiny")).label == "tiny@2"


def test_a_version_that_cannot_be_prepared_is_logged_once_and_the_old_one_is_served(
    store: Store, publish: Publish, caplog: pytest.LogCaptureFixture
) -> None:
    prepared: list[TransformNet] = []

    def prepare(net: TransformNet) -> TransformNet:
        if prepared:
            raise RuntimeError("no kernel for this")
        prepared.append(net)
        return net

    models = Models(store, CPU, prepare=prepare)
    for _ in range(2):
        publish("stylize", "tiny")
        old = models.get("stylize", Blend.parse("tiny"))
    for _ in range(2):
        models.refresh()
    assert models.get("stylize", Blend.parse("tiny")) is old
    assert [record.message for record in caplog.records] == ["cannot load stylize/tiny@2: no kernel for this"]


def test_a_damaged_model_does_not_keep_others_from_their_new_versions(
    models: Models, publish: Publish, tmp_path: Path
) -> None:
    for _ in range(2):
        for name in ("first", "second"):
            publish("stylize", name)
            models.get("stylize", Blend.parse(name))
    damage(tmp_path, "stylize/first/2")
    models.refresh()
    assert [models.get("stylize", Blend.parse(name)).label for name in ("first", "second")] == ["first@1", "second@2"]


class CutOffStore(Store):
    """A store that cannot be reached while `is_cut_off`."""

    is_cut_off = False

    def versions(self, task: str, name: str) -> list[int]:
        if self.is_cut_off:
            raise ConnectionError("no route to the bucket")
        return super().versions(task, name)


def test_loaded_nets_are_served_while_the_store_cannot_be_reached(
    publish: Publish, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = CutOffStore(tmp_path)
    models = Models(store, CPU)
    publish("stylize", "tiny")
    old = models.get("stylize", Blend.parse("tiny"))
    publish("stylize", "tiny")
    store.is_cut_off = True
    for _ in range(3):
        models.refresh()
        assert models.get("stylize", Blend.parse("tiny")) is old
    assert [record.levelno for record in caplog.records if "no route" in record.message] == [logging.WARNING]
    with pytest.raises(Unavailable, match="try later"):
        models.get("stylize", Blend.parse("other"))
    store.is_cut_off = False
    models.refresh()
    assert models.get("stylize", Blend.parse("tiny")).label == "tiny@2"


@pytest.fixture
def removed(models: Models, publish: Publish, tmp_path: Path) -> Loaded:
    """Return the net of `tiny@2`, which its name stands for although the store now has only `tiny@1`."""
    publish("stylize", "tiny")
    publish("stylize", "other")
    publish("stylize", "tiny")
    loaded = models.get("stylize", Blend.parse("tiny"))
    shutil.rmtree(tmp_path / "stylize" / "tiny" / "2")
    return loaded


def test_a_version_removed_from_the_store_is_served_while_it_is_loaded(models: Models, removed: Loaded) -> None:
    models.refresh()
    assert models.get("stylize", Blend.parse("tiny")) is removed


@pytest.mark.usefixtures("removed")
def test_a_name_whose_version_was_removed_stands_for_the_newest_that_is_left(models: Models) -> None:
    models.get("stylize", Blend.parse("other"))
    models.shrink()
    assert models.get("stylize", Blend.parse("tiny")).label == "tiny@1"
    with pytest.raises(UnknownModel, match="known: tiny@1"):
        models.get("stylize", Blend.parse("tiny@2"))


def test_requests_over_http_are_answered_while_a_new_version_takes_over(
    store: Store, publish: Publish, photo_png: bytes
) -> None:
    publish("stylize", "tiny")
    with serve(Settings(device="cpu", store_refresh_s=0.05), store) as url, httpx.Client(base_url=url) as http:

        def paint() -> str:
            response = http.post("/stylize?style=tiny", content=photo_png, timeout=60)
            assert response.status_code == 200, response.text
            return response.headers["X-Model"]

        assert paint() == "tiny@1"
        publish("stylize", "tiny")
        seen = [paint()]
        while seen[-1] == "tiny@1" and len(seen) < 10_000:
            seen.append(paint())
        assert set(seen) <= {"tiny@1", "tiny@2"}
        assert [paint() for _ in range(3)] == ["tiny@2"] * 3
        (listed,) = http.get("/models").json()
    assert (listed["version"], listed["served_version"], listed["loaded"]) == (2, 2, True)
