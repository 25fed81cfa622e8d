"""What a measurement found: numbers, and tables of them."""

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


class Percentiles(BaseModel):
    """Of times in milliseconds; each is a time that was measured, as many percent are at most as long."""

    p50: float
    p90: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, times: "array[float]") -> Self | None:
        """None of no times."""
        if not times:
            return None
        p50, p90, p95, p99 = np.percentile(np.asarray(times), (50, 90, 95, 99), method="inverted_cdf")
        return cls(p50=p50, p90=p90, p95=p95, p99=p99, max=max(times))


class Stage(BaseModel):
    """Milliseconds that requests spent in one stage."""

    mean: float
    p95: float

    @classmethod
    def of(cls, times: "array[float]") -> Self:
        """At least one time."""
        column = np.asarray(times)
        return cls(mean=column.mean(), p95=np.percentile(column, 95, method="inverted_cdf"))


class LoadReport(BaseModel):
    """One measurement. `sent` is `answered`, the transport errors and the abandoned together."""

    url: str
    kinds: list[str]
    order: Order
    concurrency: int | None
    """Of the closed loop."""
    rate: float | None
    """Requests a second that the open loop was to send."""
    processes: int
    interrupted: bool
    seconds: float
    """From the first request to the last answer."""
    sent: int
    answered: int
    abandoned: int
    """Still unanswered when the measurement was interrupted."""
    good: int
    """Answers that are pictures."""
    pictures_per_s: float
    megapixels_per_s: float
    """Of the answers."""
    latency_ms: Percentiles | None
    """Of the good answers; in the open loop from the planned start."""
    late_ms: Percentiles | None
    """How much later than planned requests were sent; where this is large, more processes are needed."""
    shed: int
    """Answers 429."""
    shed_share: float
    """Of all answers."""
    shed_ms: Percentiles | None
    other_answers: dict[str, int]
    """By status; 200 with its media type if that is no image's."""
    details: dict[str, str]
    """What the first of each kind of other answers said."""
    transport_errors: dict[str, int]
    stages_ms: dict[str, Stage]
    """By the server's `Server-Timing`; the last, `rest`, is what is left to the whole time since sending."""

    @classmethod
    def of(cls, url: str, workload: Workload, tally: Tally) -> Self:
        """Sums up what was counted."""
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
        """A sentence for a measurement without a good answer."""
        reasons = [f"{count} × {told}: {self.details[told]}" for told, count in self.other_answers.items()]
        reasons += [f"{count} × {name}" for name, count in self.transport_errors.items()]
        if self.shed:
            reasons.append(f"{self.shed} × 429: the server is busy")
        reasons += ["interrupted"] if self.interrupted else []
        return f"no picture came back from {self.url}: {'; '.join(reasons) or 'nothing was sent'}"


def show(report: LoadReport, console: Console) -> None:
    """Prints a report as tables."""
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
        console.print(f"{report.abandoned} were not waited for")


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
