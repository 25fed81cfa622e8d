"""The report of a measurement: its figures, and tables of them for people."""

import math
from array import array
from typing import Self

import numpy as np
from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from service.bench.tally import Tally
from service.bench.workload import Order, Workload

_REST = "rest"
"""The name of the last stage: the time of a request that the server's own stages do not account for."""


class Percentiles(BaseModel):
    """Percentiles of times in milliseconds. Each is one of the measured times, not an interpolated value."""

    p50: float
    p90: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, times: "array[float]") -> Self | None:
        """Return the percentiles of times, or None if there are no times."""
        if not times:
            return None
        p50, p90, p95, p99 = np.percentile(np.asarray(times), (50, 90, 95, 99), method="inverted_cdf")
        return cls(p50=p50, p90=p90, p95=p95, p99=p99, max=max(times))


class Stage(BaseModel):
    """The mean and the 95th percentile of the milliseconds that requests spent in one stage."""

    mean: float
    p95: float

    @classmethod
    def of(cls, times: "array[float]") -> Self:
        """Return the figures of a stage from its times, of which there is at least one."""
        column = np.asarray(times)
        return cls(mean=column.mean(), p95=np.percentile(column, 95, method="inverted_cdf"))


class LoadReport(BaseModel):
    """The figures of one measurement. `sent` is the sum of `answered`, the transport errors and `abandoned`."""

    url: str
    kinds: list[str]
    """Names of the kinds of requests: the model and the size, or the name of the file."""
    order: Order
    concurrency: int | None
    """Number of clients in the closed loop; None in the open loop."""
    rate: float | None
    """Requests a second that the open loop was to send; None in the closed loop."""
    processes: int
    """Number of processes that sent requests."""
    interrupted: bool
    seconds: float
    """Seconds from the first request to the last answer."""
    sent: int
    """Number of requests that were sent."""
    answered: int
    """Number of answers of any kind."""
    abandoned: int
    """Number of requests that were still unanswered when the measurement was interrupted."""
    good: int
    """Number of good answers: those that are pictures."""
    pictures_per_s: float
    megapixels_per_s: float
    """Megapixels a second in the good answers."""
    latency_ms: Percentiles | None
    """Latency of the good answers: from sending a request, in the open loop from its planned time, to the end of the
    answer."""
    late_ms: Percentiles | None
    """Times by which requests of the open loop were sent later than planned; if they are long, more processes are
    needed."""
    shed: int
    """Number of answers with status 429."""
    shed_share: float
    """Share of answers with status 429 among all answers."""
    shed_ms: Percentiles | None
    """Latency of the answers with status 429."""
    other_answers: dict[str, int]
    """Numbers of other answers, by status; for 200 that is not a picture, with the media type."""
    details: dict[str, str]
    """The detail of the first answer of each kind in `other_answers`."""
    transport_errors: dict[str, int]
    """Numbers of requests without an answer, by the kind of failure."""
    stages_ms: dict[str, Stage]
    """Times of each stage in the server's `Server-Timing`, and last, as `rest`, of everything else since sending."""

    @classmethod
    def of(cls, url: str, workload: Workload, tally: Tally) -> Self:
        """Return the report on a tally.

        Args:
            url: The address of the server.
            workload: The workload that was sent.
            tally: The count of its answers.
        """
        seconds = tally.seconds or math.inf
        stages = tally.stages | ({_REST: tally.rest} if tally.rest else {})
        return cls(
            url=url,
            kinds=[kind.name for kind in workload.kinds],
            order=workload.order,
            concurrency=workload.concurrency if workload.rate is None else None,
            rate=workload.rate,
            processes=workload.processes,
            interrupted=tally.interrupted,
            seconds=tally.seconds,
            sent=tally.sent,
            answered=tally.answered,
            abandoned=tally.in_flight,
            good=len(tally.good),
            pictures_per_s=len(tally.good) / seconds,
            megapixels_per_s=tally.good_pixels / 1e6 / seconds,
            latency_ms=Percentiles.of(tally.good),
            late_ms=Percentiles.of(tally.late) if workload.rate is not None else None,
            shed=len(tally.shed),
            shed_share=len(tally.shed) / max(1, tally.answered),
            shed_ms=Percentiles.of(tally.shed),
            other_answers=dict(tally.other_answers),
            details=tally.details,
            transport_errors=dict(tally.transport_errors),
            stages_ms={name: Stage.of(times) for name, times in stages.items()},
        )

    def why_nothing_succeeded(self) -> str:
        """Return a sentence that says why a measurement has no good answer."""
        reasons = [f"{count} × {told}: {self.details[told]}" for told, count in self.other_answers.items()]
        reasons += [f"{count} × {name}" for name, count in self.transport_errors.items()]
        if self.shed:
            reasons.append(f"{self.shed} × 429: the server is busy")
        reasons += ["interrupted"] if self.interrupted else []
        return f"no picture came back from {self.url}: {'; '.join(reasons) or 'nothing was sent'}"


def show(report: LoadReport, console: Console) -> None:
    """Print a report as tables."""
    paced = f"{report.rate:g} requests/s" if report.rate is not None else f"{report.concurrency} clients"
    kinds = report.kinds[0] if len(report.kinds) == 1 else f"{len(report.kinds)} kinds {report.order}"
    console.print(
        f"[bold]{escape(report.url)}[/]  {paced}, {escape(kinds)}, {report.seconds:.1f} s"
        + ("  [yellow]interrupted[/]" if report.interrupted else "")
    )
    console.print(
        f"[bold]{report.pictures_per_s:.1f}[/] pictures/s   [bold]{report.megapixels_per_s:.2f}[/] megapixels/s   "
        f"{report.good} good of {report.sent} sent"
    )
    if report.answered:
        console.print(_percentile_table(report))
    if report.stages_ms:
        console.print(_stage_table(report))
    if report.shed:
        console.print(f"[yellow]{report.shed_share:.1%}[/] of the answers were 429")
    for told, count in report.other_answers.items():
        console.print(f"[red]{count}[/] × {escape(told)}: {escape(report.details[told])}", highlight=False)
    for name, count in report.transport_errors.items():
        console.print(f"[red]{count}[/] × {name}", highlight=False)
    if report.abandoned:
        console.print(f"{report.abandoned} requests were unanswered when the measurement was interrupted")


def _percentile_table(report: LoadReport) -> Table:
    rows = {"good answers": report.latency_ms, "429": report.shed_ms, "sent late": report.late_ms}
    table = Table("ms", *Percentiles.model_fields, box=None, header_style="bold")
    for name, percentiles in rows.items():
        if percentiles is not None:
            table.add_row(name, *(f"{time:.1f}" for time in percentiles.model_dump().values()))
    return table


def _stage_table(report: LoadReport) -> Table:
    table = Table("stage, ms", *Stage.model_fields, box=None, header_style="bold")
    for name, stage in report.stages_ms.items():
        table.add_row(name, f"{stage.mean:.1f}", f"{stage.p95:.1f}")
    return table
