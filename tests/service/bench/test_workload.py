"""The workload: the order and the pace of its requests, and its shares for several processes."""

import io
from collections import Counter
from collections.abc import Callable
from itertools import islice, pairwise

import pytest
from PIL import Image
from pydantic import ValidationError

from service.bench.pictures import Pictures
from service.bench.workload import BadWorkload, Deck, Kind, Workload, stylize, super_resolve

Kinds = Callable[..., tuple[Kind, ...]]
NAMES = ("a 40×25", "b 40×25", "c 40×25")


def dealt(workload: Workload, count: int) -> list[str]:
    deck = Deck(workload)
    return [deck.deal(workload.progress(0, sent)).kind.name for sent in range(count)]


def test_mixed_deals_all_kinds_equally_often_and_not_in_turn(kinds: Kinds) -> None:
    names = dealt(Workload(kinds=kinds("a", "b", "c"), requests=60), 60)
    assert Counter(names) == dict.fromkeys(NAMES, 20)
    assert names != names[:3] * 20


def test_mixed_is_shuffled_by_the_seed(kinds: Kinds) -> None:
    workload = Workload(kinds=kinds("a", "b", "c"), requests=60)
    assert dealt(workload, 60) == dealt(workload, 60)
    assert dealt(workload, 60) != dealt(workload.model_copy(update={"seed": 1}), 60)


def test_sorted_deals_one_kind_after_the_other(kinds: Kinds) -> None:
    names = dealt(Workload(kinds=kinds("a", "b", "c"), order="sorted", requests=60), 60)
    assert names == [name for name in NAMES for _ in range(20)]


def test_sorted_gives_each_kind_an_equal_part_of_the_time(kinds: Kinds) -> None:
    workload = Workload(kinds=kinds("a", "b", "c"), order="sorted", duration=30)
    deck = Deck(workload)
    names = [deck.deal(workload.progress(elapsed, 0)).kind.name for elapsed in (0, 9.9, 10.1, 19.9, 20.1, 29.9)]
    assert names == [name for name in NAMES for _ in range(2)]


def test_the_pictures_of_a_kind_are_sent_in_turn(kinds: Kinds) -> None:
    deck = Deck(Workload(kinds=kinds("a")))
    assert [deck.deal(0).body[:3] for _ in range(4)] == [b"one", b"two", b"one", b"two"]


def test_arrivals_come_at_the_rate_and_are_as_irregular_as_poisson(kinds: Kinds) -> None:
    workload = Workload(kinds=kinds("a"), rate=50)
    times = list(islice(workload.arrivals(), 10_000))
    gaps = [after - before for before, after in pairwise(times)]
    mean = sum(gaps) / len(gaps)
    variance = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    assert mean == pytest.approx(1 / 50, rel=0.05)
    assert variance == pytest.approx(1 / 50**2, rel=0.1)
    assert times == list(islice(workload.arrivals(), 10_000))


def test_the_shares_of_all_processes_are_the_workload(kinds: Kinds) -> None:
    workload = Workload(kinds=kinds("a"), concurrency=8, requests=100, processes=3)
    shares = [workload.share(index) for index in range(3)]
    assert sum(share.concurrency for share in shares) == 8
    assert sum(share.requests or 0 for share in shares) == 100
    assert len({share.seed for share in shares}) == 3


def test_the_rate_is_shared_evenly(kinds: Kinds) -> None:
    assert Workload(kinds=kinds("a"), rate=90, processes=3).share(2).rate == 30


def test_the_warm_up_is_mixed_and_measured_in_seconds(kinds: Kinds) -> None:
    warm_up = Workload(kinds=kinds("a"), order="sorted", requests=5, warm_up=3).warming_up()
    assert (warm_up.order, warm_up.requests, warm_up.duration) == ("mixed", None, 3)


@pytest.mark.parametrize(("fewer", "word"), [({"concurrency": 2}, "clients"), ({"requests": 2}, "requests")])
def test_more_processes_than_clients_or_requests_are_refused(kinds: Kinds, fewer: dict[str, int], word: str) -> None:
    with pytest.raises(BadWorkload, match=f"3 processes need as many {word}, not 2"):
        Workload(kinds=kinds("a"), processes=3, **fewer)


@pytest.mark.parametrize("wrong", [{"rate": 0}, {"duration": 0}, {"concurrency": 0}, {"warm_up": -1}, {"kinds": ()}])
def test_a_number_out_of_range_is_refused(kinds: Kinds, wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        Workload(**({"kinds": kinds("a")} | wrong))


def test_every_style_is_asked_for_in_every_size() -> None:
    small, wide = (Pictures(f"{width}×10", (b"",), "image/png", width, 10) for width in (10, 20))
    asked = stylize(["muse", "a:0.7,b:0.3"], [small, wide])
    assert [kind.name for kind in asked] == ["muse 10×10", "muse 20×10", "a:0.7,b:0.3 10×10", "a:0.7,b:0.3 20×10"]
    assert asked[2].path == "/stylize?style=a%3A0.7%2Cb%3A0.3"
    assert [kind.answer_pixels for kind in asked[:2]] == [100, 200]


def test_an_enlargement_has_factor_squared_as_many_pixels() -> None:
    (kind,) = super_resolve(4, [Pictures("10×10", (b"",), "image/png", 10, 10)])
    assert (kind.path, kind.answer_pixels) == ("/super-resolve?factor=4", 1600)


def test_no_two_requests_have_the_same_body_whichever_process_sends_them(kinds: Kinds) -> None:
    workload = Workload(kinds=kinds("plain"), processes=2)
    decks = [Deck(workload.share(index)) for index in range(2)]
    assert len({deck.deal(0).body for deck in decks for _ in range(10)}) == 20


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_the_bytes_that_make_bodies_different_do_not_change_the_picture(format: str) -> None:  # noqa: A002
    buffer = io.BytesIO()
    Image.linear_gradient("L").save(buffer, format)
    kind = Kind("file", "/stylize", (buffer.getvalue(),), f"image/{format.lower()}", 1)
    sent = Deck(Workload(kinds=(kind,))).deal(0).body
    assert Image.open(io.BytesIO(sent)).tobytes() == Image.open(buffer).tobytes()
