"""The count of answers."""

from array import array

import pytest

from service.bench.tally import Tally


@pytest.mark.parametrize(
    ("header", "stages"),
    [
        ("decode;dur=1.5, queue;dur=0, net;dur=20", {"decode": 1.5, "queue": 0, "net": 20}),
        ('net;desc="a net";dur=20', {"net": 20}),
        ("cache-miss, net;dur=20", {"net": 20}),
        ("net;dur=20, total;dur=25", {"net": 20}),
        ("", {}),
    ],
)
def test_stages_are_read_from_the_header(header: str, stages: dict[str, float]) -> None:
    tally = Tally()
    tally.add_good(latency=100, took=40, server_timing=header, pixels=1)
    assert {name: times[0] for name, times in tally.stages.items()} == stages
    assert list(tally.rest) == ([40 - sum(stages.values())] if stages else [])


def test_the_tallies_of_two_processes_are_merged() -> None:
    one, two = Tally(), Tally()
    one.seconds, two.seconds = 3.0, 4.0
    one.sent, two.sent = 3, 4
    one.add_good(10, 10, "net;dur=5", pixels=100)
    two.add_good(20, 20, "net;dur=6, queue;dur=1", pixels=200)
    two.shed.append(1)
    one.add_other("404", "first")
    two.add_other("404", "second")
    two.transport_errors["connection refused"] += 1
    two.interrupted = True
    one.merge(two)
    assert (one.seconds, one.sent, one.answered, one.in_flight, one.good_pixels) == (4, 7, 5, 1, 300)
    assert one.good == array("d", [10, 20])
    assert one.stages == {"net": array("d", [5, 6]), "queue": array("d", [1])}
    assert one.rest == array("d", [5, 13])
    assert (one.other_answers, one.details) == ({"404": 2}, {"404": "first"})
    assert one.transport_errors == {"connection refused": 1}
    assert one.interrupted
