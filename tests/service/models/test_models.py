import gc
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from model_store.card import Card
from model_store.nets import TransformNet
from model_store.store import Store
from service.contract.blend import Blend
from service.contract.problems import BadOption, DamagedWeights, Unavailable, UnknownModel
from service.models.loaded import Loaded, Models

from ..stores import Publish


@pytest.fixture
def models(store: Store) -> Models:
    return Models(store, torch.device("cpu"))


def test_a_net_is_loaded_ready_for_use(models: Models, publish: Publish) -> None:
    publish("stylize", "tiny")
    loaded = models.get("stylize", Blend.parse("tiny"))
    assert loaded.label == "tiny@1"
    assert not loaded.net.training
    assert loaded.net(torch.rand(1, 3, 16, 20)).shape == (1, 3, 16, 20)


def test_a_net_is_loaded_once_however_many_ask_at_the_same_time(models: Models, publish: Publish) -> None:
    publish("stylize", "tiny")
    together = threading.Barrier(8)

    def get(_: int) -> int:
        together.wait()
        return id(models.get("stylize", Blend.parse("tiny")).net)

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(get, range(8)))) == 1


def test_a_version_can_be_asked_for(models: Models, publish: Publish) -> None:
    publish("stylize", "tiny")
    publish("stylize", "tiny")
    assert models.get("stylize", Blend.parse("tiny")).label == "tiny@2"
    assert models.get("stylize", Blend.parse("tiny@1")).label == "tiny@1"


def test_a_name_and_its_newest_version_are_one_net(models: Models, publish: Publish) -> None:
    publish("stylize", "tiny")
    assert models.get("stylize", Blend.parse("tiny")).net is models.get("stylize", Blend.parse("tiny@1")).net


def test_an_unknown_style_is_refused_with_the_known_styles(models: Models, publish: Publish) -> None:
    publish("stylize", "tiny")
    publish("stylize", "other")
    with pytest.raises(UnknownModel, match=r"'nope'.*known: other, tiny"):
        models.get("stylize", Blend.parse("nope"))


def test_an_unknown_version_is_refused_with_the_known_versions(models: Models, publish: Publish) -> None:
    publish("stylize", "tiny")
    with pytest.raises(UnknownModel, match=r"'tiny@7'.*known: tiny@1"):
        models.get("stylize", Blend.parse("tiny@7"))


def test_a_style_without_a_light_net_is_refused_with_the_styles_that_have_one(models: Models, publish: Publish) -> None:
    for name in ("one", "two", "two-light", "three"):
        publish("stylize", name)
    assert models.get("stylize", Blend.parse("two").light).label == "two-light@1"
    with pytest.raises(UnknownModel, match=r"'one' has no light net.*styles that have one: two; or leave light out$"):
        models.get("stylize", Blend.parse("one").light)
    with pytest.raises(UnknownModel, match=r"'two-light@7'.*known: two-light@1$"):
        models.get("stylize", Blend.parse("two@7").light)
    with pytest.raises(UnknownModel, match=r"'nope'; known: one, three, two$"):
        models.get("stylize", Blend.parse("nope"))


def test_light_nets_are_preferred_on_a_cpu_where_every_style_of_a_blend_has_one(
    models: Models, store: Store, publish: Publish
) -> None:
    for name in ("one", "one-light", "two", "two-light", "three"):
        publish("stylize", name)
    preferred = [models.prefers_light(Blend.parse(style)) for style in ("one", "one:1,two:1", "one:1,three:1", "one@1")]
    assert preferred == [True, True, False, False]
    assert not Models(store, torch.device("cuda")).prefers_light(Blend.parse("one"))


@pytest.mark.parametrize("label", ["", "tiny@", "tiny@0", "tiny@x", "@1", "../tiny", "stylize/tiny", "TINY", "tiny\n"])
def test_text_that_cannot_name_a_style_is_refused_as_unknown(models: Models, publish: Publish, label: str) -> None:
    publish("stylize", "tiny")
    with pytest.raises(UnknownModel):
        models.get("stylize", Blend.parse(label))


def test_an_unknown_factor_is_refused_with_the_known_factors(models: Models, publish: Publish) -> None:
    publish("super-resolve", "x2-pixel")
    with pytest.raises(UnknownModel, match=r"known factors: 2$"):
        models.get("super-resolve", Blend.parse("x3-pixel"))


def test_only_factors_that_can_be_asked_for_are_listed(models: Models, publish: Publish) -> None:
    publish("super-resolve", "x2-pixel-experiment")
    with pytest.raises(UnknownModel, match=r"known factors: none$"):
        models.get("super-resolve", Blend.parse("x2-pixel"))


def test_a_factor_without_a_net_for_blurred_pictures_is_refused_with_the_factors_that_have_one(
    models: Models, publish: Publish
) -> None:
    for name in ("x2-pixel", "x4-pixel-blurred", "x16-pixel-blurred"):
        publish("super-resolve", name)
    with pytest.raises(UnknownModel, match=r"blurred pictures; known factors: 4, 16; or leave blurred out$"):
        models.get("super-resolve", Blend.parse("x2-pixel-blurred"))
    with pytest.raises(UnknownModel, match=r"known factors: 2$"):
        models.get("super-resolve", Blend.parse("x4-pixel"))


def test_fidelity_without_a_net_for_it_is_refused_with_the_factors_that_have_one(
    models: Models, publish: Publish
) -> None:
    for name in ("x2-pixel", "x4-pixel", "x4-feature"):
        publish("super-resolve", name)
    with pytest.raises(UnknownModel, match=r"x2-feature for fidelity below 1; known factors: 4; or leave .* out$"):
        models.get("super-resolve", Blend.parse("x2-pixel:0.5,x2-feature:0.5"))


def test_a_self_ensemble_is_one_net_around_the_one_that_was_loaded(models: Models, publish: Publish) -> None:
    publish("super-resolve", "x2-pixel")
    first, again = (models.get("super-resolve", Blend.parse(label)) for label in ("x2-pixel", "x2-pixel@1"))
    assert again.self_ensemble is first.self_ensemble
    assert first.self_ensemble.net is first.net


def test_a_style_published_after_a_failed_lookup_is_found(models: Models, publish: Publish) -> None:
    with pytest.raises(UnknownModel, match="known: none"):
        models.get("stylize", Blend.parse("tiny"))
    publish("stylize", "tiny")
    assert models.get("stylize", Blend.parse("tiny")).label == "tiny@1"


def test_changed_weights_are_refused_by_name(models: Models, publish: Publish, tmp_path: Path) -> None:
    publish("stylize", "tiny")
    weights = tmp_path / "stylize" / "tiny" / "1" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    with pytest.raises(DamagedWeights, match="stylize/tiny@1"):
        models.get("stylize", Blend.parse("tiny"))


def test_an_unreadable_card_is_refused_by_name(models: Models, publish: Publish, tmp_path: Path) -> None:
    publish("stylize", "tiny")
    (tmp_path / "stylize" / "tiny" / "1" / "card.json").write_text("{}")
    with pytest.raises(DamagedWeights, match="stylize/tiny@1"):
        models.get("stylize", Blend.parse("tiny"))


def test_restored_weights_are_loaded(models: Models, publish: Publish, tmp_path: Path) -> None:
    publish("stylize", "tiny")
    weights = tmp_path / "stylize" / "tiny" / "1" / "model.safetensors"
    good = weights.read_bytes()
    weights.write_bytes(b"")
    with pytest.raises(DamagedWeights):
        models.get("stylize", Blend.parse("tiny"))
    weights.write_bytes(good)
    assert models.get("stylize", Blend.parse("tiny")).label == "tiny@1"


# Blends


@pytest.fixture
def three(publish: Publish) -> dict[str, Card]:
    """Return the cards of three styles, a, b and c, that can be blended."""
    return {name: publish("stylize", name) for name in "abc"}


def test_a_blend_has_the_mean_of_the_weights(models: Models, three: dict[str, Card]) -> None:
    label, digest, net, self_ensemble, _ = models.get("stylize", Blend.parse("a:3,b:1"))
    first, second = (models.get("stylize", Blend.parse(name)).net.state_dict() for name in "ab")
    for key, mean in net.state_dict().items():
        torch.testing.assert_close(mean, 0.75 * first[key] + 0.25 * second[key])
    assert not net.training
    assert label == "a@1:0.75,b@1:0.25"
    assert all(three[name].sha256 in digest for name in "ab")
    assert self_ensemble.net is net


@pytest.mark.parametrize("same", ["a:.5,b:.5", "b:7,a:7", "a@1:1,b:1", "a:0.501,b:0.499", "c:0,a:1,b:1"])
@pytest.mark.usefixtures("three")
def test_equal_blends_written_differently_are_one_net(models: Models, same: str) -> None:
    assert models.get("stylize", Blend.parse(same)) is models.get("stylize", Blend.parse("a:1,b:1"))


@pytest.mark.usefixtures("three")
def test_blends_with_different_shares_or_parts_have_different_digests(models: Models) -> None:
    texts = ["a", "a:0.5,b:0.5", "a:0.51,b:0.49", "a:0.49,b:0.51", "a:0.5,c:0.5", "a:1,b:1,c:1"]
    assert len({models.get("stylize", Blend.parse(text)).digest for text in texts}) == len(texts)


@pytest.mark.usefixtures("three")
def test_a_blend_of_one_style_is_the_net_of_that_style(models: Models) -> None:
    assert models.get("stylize", Blend.parse("a:1,b:0")) is models.get("stylize", Blend.parse("a"))


@pytest.mark.usefixtures("three")
def test_a_blend_is_made_once_however_many_ask_at_the_same_time(models: Models) -> None:
    together = threading.Barrier(8)

    def get(_: int) -> Loaded:
        together.wait()
        return models.get("stylize", Blend.parse("a:1,b:1"))

    with ThreadPoolExecutor(8) as threads:
        first, *others = threads.map(get, range(8))
    assert all(other is first for other in others)


@pytest.mark.usefixtures("three")
def test_a_blend_is_made_of_the_published_weights_however_nets_are_prepared(store: Store) -> None:
    models = Models(store, torch.device("cpu"), prepare=lambda net: Prepared(net.half()))
    for name in "ab":
        models.get("stylize", Blend.parse(name))
    blend = models.get("stylize", Blend.parse("a:1,b:1")).net
    first, second = (store.open("stylize", name).net.state_dict() for name in "ab")
    for key, mean in blend.net.state_dict().items():
        assert torch.equal(mean, (0.5 * first[key] + 0.5 * second[key]).half())


@pytest.mark.usefixtures("three")
def test_parts_of_blends_are_read_once_for_many_shares(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    really_open = store.open
    monkeypatch.setattr(store, "open", lambda *key: (opened.append(key), really_open(*key))[1])
    models = Models(store, torch.device("cpu"))
    for share in range(1, 6):
        models.get("stylize", Blend.parse(f"a:{share},b:1"))
    assert sorted(opened) == [("stylize", "a", 1), ("stylize", "b", 1)]


@pytest.mark.parametrize("text", ["a:1,a:1", "a:1,a@1:1"])
@pytest.mark.usefixtures("three")
def test_a_model_named_twice_is_refused(models: Models, text: str) -> None:
    with pytest.raises(BadOption, match="twice"):
        models.get("stylize", Blend.parse(text))


@pytest.mark.usefixtures("three")
def test_an_unknown_part_of_a_blend_is_refused_with_the_known_styles(models: Models) -> None:
    with pytest.raises(UnknownModel, match=r"'nope'; known: a, b, c"):
        models.get("stylize", Blend.parse("a:1,nope:1"))


@pytest.mark.usefixtures("three")
def test_nets_of_different_sizes_cannot_be_blended(models: Models, publish: Publish) -> None:
    publish("stylize", "wide", width=8)
    with pytest.raises(BadOption, match=r"a@1:0\.5,wide@1:0\.5 cannot be blended.*widths"):
        models.get("stylize", Blend.parse("a:1,wide:1"))
    publish("stylize", "wide")
    assert models.get("stylize", Blend.parse("a:1,wide@2:1")).label == "a@1:0.5,wide@2:0.5"


# Preparation and memory


class Prepared(TransformNet):
    """A stand-in for a prepared net whose weights are useless for blends."""

    def __init__(self, net: TransformNet) -> None:
        super().__init__()
        self.net = net


@pytest.mark.usefixtures("three")
def test_each_net_is_prepared_once_before_it_is_used(store: Store) -> None:
    prepared = []

    def prepare(net: TransformNet) -> TransformNet:
        prepared.append(Prepared(net))
        return prepared[-1]

    models = Models(store, torch.device("cpu"), prepare=prepare)
    single, blend = (models.get("stylize", Blend.parse(text)) for text in ("a", "a:1,b:1"))
    models.get("stylize", Blend.parse("a"))
    assert prepared == [single.net, blend.net]
    assert single.self_ensemble.net is single.net


def size_of_a_net(models: Models) -> int:
    return sum(tensor.nbytes for tensor in models.get("stylize", Blend.parse("a")).net.state_dict().values())


@pytest.mark.usefixtures("three")
def test_the_least_recently_used_net_is_dropped_when_there_is_no_room(store: Store, models: Models) -> None:
    models = Models(store, torch.device("cpu"), most_bytes=2 * size_of_a_net(models))
    first, second = (models.get("stylize", Blend.parse(text)) for text in ("a", "a:1,c:1"))
    assert models.get("stylize", Blend.parse("a")) is first
    third = models.get("stylize", Blend.parse("c"))
    assert models.get("stylize", Blend.parse("a")) is first
    assert models.get("stylize", Blend.parse("c")) is third
    assert models.get("stylize", Blend.parse("a:1,c:1")) is not second
    assert [models.is_loaded("stylize", name, 1) for name in "abc"] == [False, False, True]


@pytest.mark.usefixtures("three")
def test_parts_of_a_blend_take_no_room_on_the_device(store: Store, models: Models) -> None:
    models = Models(store, torch.device("cpu"), most_bytes=2 * size_of_a_net(models))
    single = models.get("stylize", Blend.parse("a"))
    models.get("stylize", Blend.parse("b:1,c:1"))
    assert models.get("stylize", Blend.parse("a")) is single


@pytest.mark.usefixtures("three")
def test_one_net_is_kept_even_if_there_is_no_room(store: Store) -> None:
    models = Models(store, torch.device("cpu"), most_bytes=1)
    single = models.get("stylize", Blend.parse("a"))
    assert models.get("stylize", Blend.parse("a")) is single
    models.get("stylize", Blend.parse("b"))
    assert models.get("stylize", Blend.parse("a")) is not single


@pytest.mark.usefixtures("three")
def test_shrinking_keeps_the_net_used_last_and_those_that_requests_hold(models: Models) -> None:
    held, last = models.get("stylize", Blend.parse("a")), models.get("stylize", Blend.parse("b"))
    dropped = weakref.ref(models.get("stylize", Blend.parse("c")).net)
    assert models.get("stylize", Blend.parse("b")) is last
    models.shrink()
    gc.collect()
    assert dropped() is None
    assert held.net(torch.rand(1, 3, 16, 20)).shape == (1, 3, 16, 20)
    assert models.get("stylize", Blend.parse("b")) is last
    assert models.get("stylize", Blend.parse("a")) is not held


def short_of_memory(store: Store, room: list[bool], error: Exception) -> Models:
    """Models of which each is made or not, as there is room for it."""

    def prepare(net: TransformNet) -> TransformNet:
        if not room.pop(0):
            raise error
        return net

    return Models(store, torch.device("cpu"), prepare=prepare)


@pytest.mark.usefixtures("three")
def test_a_net_that_does_not_fit_into_memory_is_tried_again_after_memory_was_freed(
    store: Store, cuda_error: Callable[[str, int], Exception]
) -> None:
    models = short_of_memory(store, [True, False, True], cuda_error("CUDA error: out of memory", 2))
    models.get("stylize", Blend.parse("a"))
    assert models.get("stylize", Blend.parse("b")).label == "b@1"


@pytest.mark.usefixtures("three")
def test_a_net_that_does_not_fit_into_memory_then_either_is_refused_for_now(store: Store) -> None:
    models = short_of_memory(store, [True, False, False, True], torch.OutOfMemoryError())
    models.get("stylize", Blend.parse("a"))
    with pytest.raises(Unavailable, match="try later") as refused:
        models.get("stylize", Blend.parse("b"))
    assert refused.value.retry_after
    assert models.get("stylize", Blend.parse("b")).label == "b@1"
