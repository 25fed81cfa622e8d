import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from model_store.card import Card
from model_store.store import Store
from service.models import Models, name_of_factor
from service.problems import DamagedWeights, UnknownModel

Publish = Callable[..., Card]


@pytest.fixture
def models(store: Store) -> Models:
    return Models(store, torch.device("cpu"))


def test_a_net_is_loaded_ready_for_use(models: Models, publish: Publish) -> None:
    publish("stylize", "tiny")
    card, net = models.get("stylize", "tiny")
    assert card.label == "tiny@1"
    assert not net.training
    assert net(torch.rand(1, 3, 16, 20)).shape == (1, 3, 16, 20)


def test_a_net_is_loaded_once_however_many_ask_at_the_same_time(models: Models, publish: Publish) -> None:
    publish("stylize", "tiny")
    together = threading.Barrier(8)

    def get(_: int) -> int:
        together.wait()
        return id(models.get("stylize", "tiny").net)

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(get, range(8)))) == 1


def test_a_version_can_be_asked_for(models: Models, publish: Publish) -> None:
    publish("stylize", "tiny")
    publish("stylize", "tiny")
    assert models.get("stylize", "tiny").card.version == 2
    assert models.get("stylize", "tiny@1").card.version == 1


def test_a_name_and_its_newest_version_are_one_net(models: Models, publish: Publish) -> None:
    publish("stylize", "tiny")
    assert models.get("stylize", "tiny").net is models.get("stylize", "tiny@1").net


def test_an_unknown_style_is_refused_with_those_there_are(models: Models, publish: Publish) -> None:
    publish("stylize", "tiny")
    publish("stylize", "other")
    with pytest.raises(UnknownModel, match=r"'nope'.*known: other, tiny"):
        models.get("stylize", "nope")


def test_an_unknown_version_is_refused_with_those_there_are(models: Models, publish: Publish) -> None:
    publish("stylize", "tiny")
    with pytest.raises(UnknownModel, match=r"'tiny@7'.*known: tiny@1"):
        models.get("stylize", "tiny@7")


@pytest.mark.parametrize("label", ["", "tiny@", "tiny@0", "tiny@x", "@1", "../tiny", "stylize/tiny", "TINY", "tiny\n"])
def test_what_does_not_name_a_style_is_refused_as_unknown(models: Models, publish: Publish, label: str) -> None:
    publish("stylize", "tiny")
    with pytest.raises(UnknownModel):
        models.get("stylize", label)


def test_an_unknown_factor_is_refused_with_those_there_are(models: Models, publish: Publish) -> None:
    publish("super-resolve", name_of_factor(2))
    with pytest.raises(UnknownModel, match=r"known factors: 2$"):
        models.get("super-resolve", name_of_factor(3))


def test_only_factors_that_can_be_asked_for_are_listed(models: Models, publish: Publish) -> None:
    publish("super-resolve", f"{name_of_factor(2)}-experiment")
    with pytest.raises(UnknownModel, match=r"known factors: none$"):
        models.get("super-resolve", name_of_factor(2))


def test_a_style_published_after_a_failed_lookup_is_found(models: Models, publish: Publish) -> None:
    with pytest.raises(UnknownModel, match="known: none"):
        models.get("stylize", "tiny")
    publish("stylize", "tiny")
    assert models.get("stylize", "tiny").card.name == "tiny"


def test_changed_weights_are_refused_by_name(models: Models, publish: Publish, tmp_path: Path) -> None:
    publish("stylize", "tiny")
    weights = tmp_path / "stylize" / "tiny" / "1" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    with pytest.raises(DamagedWeights, match="stylize/tiny@1"):
        models.get("stylize", "tiny")


def test_an_unreadable_card_is_refused_by_name(models: Models, publish: Publish, tmp_path: Path) -> None:
    publish("stylize", "tiny")
    (tmp_path / "stylize" / "tiny" / "1" / "card.json").write_text("{}")
    with pytest.raises(DamagedWeights, match="stylize/tiny@1"):
        models.get("stylize", "tiny")


def test_restored_weights_are_taken(models: Models, publish: Publish, tmp_path: Path) -> None:
    publish("stylize", "tiny")
    weights = tmp_path / "stylize" / "tiny" / "1" / "model.safetensors"
    good = weights.read_bytes()
    weights.write_bytes(b"")
    with pytest.raises(DamagedWeights):
        models.get("stylize", "tiny")
    weights.write_bytes(good)
    assert models.get("stylize", "tiny").card.name == "tiny"
