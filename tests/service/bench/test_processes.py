"""A measurement by several processes."""

from collections.abc import Callable

import pytest

from service.bench import pictures
from service.bench.processes import BenchError, measure
from service.bench.tally import LoadProgress
from service.bench.workload import Kind, Workload, stylize

from .conftest import Target

pytestmark = pytest.mark.process

Kinds = Callable[..., tuple[Kind, ...]]


def test_several_processes_share_a_workload(target: Target, kinds: Kinds) -> None:
    target.together = 5
    workload = Workload(kinds=kinds("together", "busy"), concurrency=10, requests=10, processes=2, warm_up=0)
    report = measure(target.url, workload)
    assert target.received == {"together": 5, "busy": 5}
    assert (report.sent, report.answered, report.good, report.shed, report.processes) == (10, 10, 5, 5, 2)
    assert not report.interrupted


def test_the_watcher_is_told_the_progress(target: Target, kinds: Kinds) -> None:
    seen: list[LoadProgress] = []
    measure(
        target.url, Workload(kinds=kinds("slow"), duration=0.8, warm_up=0.5, concurrency=2, processes=2), seen.append
    )
    assert {progress.is_warm_up for progress in seen} == {True, False}
    assert max(progress.good for progress in seen) > 0
    assert max(progress.in_flight for progress in seen) == 2


def test_an_address_where_nothing_listens_is_refused(kinds: Kinds) -> None:
    with pytest.raises(BenchError, match=r"nobody listens at http://127\.0\.0\.1:9 .*impasto serve"):
        measure("http://127.0.0.1:9", Workload(kinds=kinds("plain")))


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://localhost", "http://"])
def test_a_url_that_is_not_an_http_address_is_refused(url: str, kinds: Kinds) -> None:
    with pytest.raises(BenchError, match="not the address of a server"):
        measure(url, Workload(kinds=kinds("plain")))


def test_the_report_has_the_stages_of_an_impasto_server(server: str) -> None:
    workload = Workload(kinds=stylize(["muse", "candy"], [pictures.make(32, 24, "png")]), requests=4, warm_up=0)
    report = measure(server, workload)
    assert (report.good, report.other_answers, report.transport_errors) == (4, {}, {})
    assert {"decode", "queue", "net", "encode", "rest"} <= set(report.stages_ms)
