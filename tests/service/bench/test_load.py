"""The load of one process: which requests it sends, and how it counts the answers."""

import asyncio
import time
from collections.abc import Callable

import pytest

from service.bench.load import Load
from service.bench.tally import Tally
from service.bench.workload import Kind, Workload

from .conftest import Target

Kinds = Callable[..., tuple[Kind, ...]]


def measure(target: Target, workload: Workload, before: Callable[[], object] = lambda: None) -> Tally:
    """Run the load in this process and return its tally; `before` is called between the warm-up and the measurement."""

    async def run() -> Tally:
        async with Load(target.url, workload) as load:
            await load.warm_up()
            before()
            await load.measure()
        return load.tally

    return asyncio.run(run())


def test_as_many_requests_are_sent_as_planned_and_each_is_answered(target: Target, kinds: Kinds) -> None:
    tally = measure(target, Workload(kinds=kinds("plain", "slow"), requests=20, warm_up=0))
    assert target.received == {"plain": 10, "slow": 10}
    assert (tally.sent, tally.answered, len(tally.good), tally.in_flight) == (20, 20, 20, 0)
    assert tally.good_pixels == 20 * 1000


def test_the_bodies_arrive_as_pictures(target: Target, kinds: Kinds) -> None:
    measure(target, Workload(kinds=kinds("plain"), requests=2, concurrency=1, warm_up=0))
    assert [body[:3] for body in target.bodies] == [b"one", b"two"]
    assert set(target.media_types) == {"image/jpeg"}


@pytest.mark.parametrize(("api_key", "sent"), [(None, None), ("open-sesame", "Bearer open-sesame")])
def test_an_api_key_is_sent_and_never_shown(
    target: Target, kinds: Kinds, api_key: str | None, sent: str | None
) -> None:
    workload = Workload(kinds=kinds("plain"), requests=2, warm_up=0, api_key=api_key)
    measure(target, workload)
    assert target.authorizations == [sent, sent]
    assert "sesame" not in f"{workload} {workload.model_dump_json()}"


def test_the_closed_loop_has_one_request_in_flight_for_each_client(target: Target, kinds: Kinds) -> None:
    measure(target, Workload(kinds=kinds("slow"), requests=30, concurrency=5, warm_up=0))
    assert target.most_in_flight == 5


def test_the_open_loop_sends_without_waiting_for_answers(target: Target, kinds: Kinds) -> None:
    target.together = 20
    tally = measure(target, Workload(kinds=kinds("together"), rate=1000, requests=20, warm_up=0))
    assert target.most_in_flight == 20
    assert len(tally.good) == 20


def test_the_open_loop_counts_latency_from_the_planned_time(target: Target, kinds: Kinds) -> None:
    """A sender that was blocked must count longer latencies, not leave out the requests that it should have sent."""

    def stand_still() -> None:
        asyncio.get_running_loop().call_later(0.02, time.sleep, 0.5)

    tally = measure(target, Workload(kinds=kinds("plain"), rate=200, duration=0.3, warm_up=0), stand_still)
    assert max(tally.late) > 300
    assert all(latency > late for latency, late in zip(sorted(tally.good), sorted(tally.late), strict=True))
    assert sum(latency > 200 for latency in tally.good) > 10


def test_the_closed_loop_ends_when_the_time_is_over(target: Target, kinds: Kinds) -> None:
    tally = measure(target, Workload(kinds=kinds("slow"), duration=0.2, concurrency=2, warm_up=0))
    assert 2 <= tally.sent == len(tally.good)
    assert tally.seconds >= 0.2


def test_the_answers_of_the_warm_up_are_not_counted(target: Target, kinds: Kinds) -> None:
    tally = measure(target, Workload(kinds=kinds("slow"), requests=3, warm_up=0.2))
    assert tally.sent == len(tally.good) == len(tally.late) == 3
    assert target.received["slow"] > 3


def test_latency_is_in_milliseconds(target: Target, kinds: Kinds) -> None:
    tally = measure(target, Workload(kinds=kinds("slow"), requests=3, warm_up=0))
    assert all(50 <= latency < 50_000 for latency in tally.good)


def test_refusals_are_counted_apart(target: Target, kinds: Kinds) -> None:
    tally = measure(target, Workload(kinds=kinds("busy", "plain"), requests=20, warm_up=0))
    assert (len(tally.shed), len(tally.good)) == (10, 10)


def test_the_stages_of_good_answers_are_kept(target: Target, kinds: Kinds) -> None:
    tally = measure(target, Workload(kinds=kinds("timed"), requests=2, warm_up=0))
    assert {name: list(times) for name, times in tally.stages.items()} == {"decode": [1.5, 1.5], "net": [20, 20]}
    assert sum(tally.rest) == pytest.approx(sum(tally.good) - sum(tally.late) - 2 * 21.5)


@pytest.mark.parametrize(
    ("style", "kind", "detail"),
    [
        ("unknown", "404", "there is no style"),
        ("page", "200 text/html", "welcome"),
        ("moved", "307", "over there"),
    ],
)
def test_other_answers_are_counted_with_what_they_say(
    target: Target, kinds: Kinds, style: str, kind: str, detail: str
) -> None:
    tally = measure(target, Workload(kinds=kinds(style), requests=3, warm_up=0))
    assert tally.other_answers == {kind: 3}
    assert tally.details == {kind: detail}
    assert not tally.good


@pytest.mark.parametrize(
    ("style", "name"), [("dropped", "closed without an answer"), ("torn", "closed within the answer")]
)
def test_connections_that_break_are_counted(target: Target, kinds: Kinds, style: str, name: str) -> None:
    tally = measure(target, Workload(kinds=kinds(style, "plain"), requests=4, warm_up=0))
    assert tally.transport_errors == {name: 2}
    assert (tally.sent, tally.answered) == (4, 2)


def test_refused_connections_are_counted_by_their_cause(target: Target, kinds: Kinds) -> None:
    target.url = "http://127.0.0.1:9"
    tally = measure(target, Workload(kinds=kinds("plain"), requests=2, warm_up=0))
    assert tally.transport_errors == {"connection refused": 2}
