"""The report of a measurement, as figures, as JSON and as tables."""

import io
from array import array
from collections.abc import Callable

import pytest
from rich.console import Console

from service.bench.report import LoadReport, Percentiles, Stage, show
from service.bench.tally import Tally
from service.bench.workload import Kind, Workload

Kinds = Callable[..., tuple[Kind, ...]]


@pytest.fixture
def tally() -> Tally:
    """Return five seconds: ten pictures of a megapixel, five refusals, a 404, two broken connections, one abandoned."""
    tally = Tally()
    tally.seconds = 5.0
    for number in range(1, 11):
        tally.add_good(10.0 * number, 10.0 * number, f"decode;dur={number}, net;dur=5", pixels=1_000_000)
    tally.shed.extend([1.0, 2.0, 3.0, 4.0, 5.0])
    tally.add_other("404", "there is no style 'x[1]'")
    tally.transport_errors["connection refused"] += 2
    tally.late.extend([0.5] * 19)
    tally.sent = 19
    return tally


def text(report: LoadReport) -> str:
    console = Console(file=io.StringIO(), width=120)
    show(report, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_percentile_is_a_time_that_so_many_percent_do_not_exceed() -> None:
    times = array("d", [37 * number % 101 for number in range(1, 101)])
    assert Percentiles.of(times) == Percentiles(p50=50, p90=90, p95=95, p99=99, max=100)


def test_percentiles_of_few_times_are_measured_times() -> None:
    assert Percentiles.of(array("d", [3, 1, 2])) == Percentiles(p50=2, p90=3, p95=3, p99=3, max=3)
    assert Percentiles.of(array("d", [7])) == Percentiles(p50=7, p90=7, p95=7, p99=7, max=7)


def test_no_times_have_no_percentiles() -> None:
    assert Percentiles.of(array("d")) is None


def test_a_report_sums_up_a_tally(tally: Tally, kinds: Kinds) -> None:
    report = LoadReport.of("http://here", Workload(kinds=kinds("muse"), concurrency=4), tally)
    assert (report.pictures_per_s, report.megapixels_per_s) == (2, 2)
    assert (report.good, report.shed, report.shed_share) == (10, 5, 5 / 16)
    assert report.latency_ms == Percentiles(p50=50, p90=90, p95=100, p99=100, max=100)
    assert report.shed_ms == Percentiles(p50=3, p90=5, p95=5, p99=5, max=5)
    assert report.other_answers == {"404": 1}
    assert report.sent == 19 == report.answered + report.abandoned + sum(report.transport_errors.values())
    assert (report.concurrency, report.rate, report.late_ms) == (4, None, None)


def test_the_last_stage_is_the_rest_of_the_time(tally: Tally, kinds: Kinds) -> None:
    stages = LoadReport.of("http://here", Workload(kinds=kinds("muse")), tally).stages_ms
    assert list(stages) == ["decode", "net", "rest"]
    assert stages["decode"] == Stage(mean=5.5, p95=10)
    assert sum(stage.mean for stage in stages.values()) == pytest.approx(55)


def test_the_report_on_an_open_loop_has_its_rate_and_its_delays(tally: Tally, kinds: Kinds) -> None:
    report = LoadReport.of("http://here", Workload(kinds=kinds("muse"), rate=30), tally)
    assert (report.concurrency, report.rate) == (None, 30)
    assert report.late_ms is not None
    assert report.late_ms.max == 0.5


def test_a_report_survives_json(tally: Tally, kinds: Kinds) -> None:
    report = LoadReport.of("http://here", Workload(kinds=kinds("muse")), tally)
    assert LoadReport.model_validate_json(report.model_dump_json()) == report


def test_the_tables_show_what_was_found(tally: Tally, kinds: Kinds) -> None:
    shown = text(LoadReport.of("http://[::1]:80", Workload(kinds=kinds("muse"), concurrency=4), tally))
    for words in ("http://[::1]:80", "4 clients, muse 40×25, 5.0 s", "2.0 pictures/s   2.00 megapixels/s"):
        assert words in shown
    rows = [line.split() for line in shown.splitlines()]
    assert ["good", "answers", "50.0", "90.0", "100.0", "100.0", "100.0"] in rows
    assert ["429", "3.0", "5.0", "5.0", "5.0", "5.0"] in rows
    assert ["decode", "5.5", "10.0"] in rows
    assert "31.2% of the answers were 429" in shown
    assert "1 × 404: there is no style 'x[1]'" in shown
    assert "2 × connection refused" in shown


def test_a_report_on_no_requests_can_be_shown(kinds: Kinds) -> None:
    assert "0 good of 0 sent" in text(LoadReport.of("http://here", Workload(kinds=kinds("muse")), Tally()))


def test_why_nothing_succeeded_names_what_came_instead(kinds: Kinds) -> None:
    tally = Tally()
    tally.add_other("404", "there is no style")
    tally.transport_errors["connection refused"] += 2
    tally.shed.append(1)
    sentence = LoadReport.of("http://here", Workload(kinds=kinds("muse")), tally).why_nothing_succeeded()
    assert sentence.startswith("no picture came back from http://here: ")
    for words in ("1 × 404: there is no style", "2 × connection refused", "1 × 429"):
        assert words in sentence
