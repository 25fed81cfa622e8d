"""The command `impasto bench`, which measures a server under load."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from service.bench.workload import Kind

app = typer.Typer()

PictureFormat = Literal["jpeg", "png", "webp"]


@app.command()
def bench(
    url: Annotated[str, typer.Argument(help="Address of the server, as in http://localhost:8000.")],
    style: Annotated[list[str] | None, typer.Option(help="Style to paint in; repeatable. Default: muse.")] = None,
    factor: Annotated[
        int | None, typer.Option(min=2, help="Factor to enlarge by, instead of painting in a style.")
    ] = None,
    size: Annotated[
        list[str] | None,
        typer.Option(help="Pixels of generated pictures, as in 256 or 640x480; repeatable. Default: 256."),
    ] = None,
    picture: Annotated[
        list[Path] | None,
        typer.Option(exists=True, dir_okay=False, help="File to send instead of generated pictures; repeatable."),
    ] = None,
    format: Annotated[PictureFormat, typer.Option(help="Format of generated pictures.")] = "jpeg",  # noqa: A002
    concurrency: Annotated[
        int, typer.Option(min=1, help="Number of clients that each wait for an answer before the next request.")
    ] = 8,
    rate: Annotated[
        float | None,
        typer.Option(help="Requests a second to send at random times without waiting; instead of --concurrency."),
    ] = None,
    duration: Annotated[float, typer.Option(help="Seconds in which requests are sent.")] = 10.0,
    requests: Annotated[
        int | None, typer.Option(min=1, help="Number of requests to send; instead of --duration.")
    ] = None,
    warm_up: Annotated[
        float, typer.Option(min=0, help="Seconds of load before the measurement, which are not counted.")
    ] = 2.0,
    order: Annotated[
        Literal["mixed", "sorted"], typer.Option(help="Order of styles and sizes: shuffled, or one after the other.")
    ] = "mixed",
    api_key: Annotated[
        str | None, typer.Option(envvar="IMPASTO_API_KEY", help="API key, for a server that asks for one.")
    ] = None,
    processes: Annotated[
        int, typer.Option(min=1, help="Number of processes that send; more than 1 for thousands of requests a second.")
    ] = 1,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")] = False,
) -> None:
    """Measure a server under load: latency, throughput, refusals and the time that each stage takes.

    A client that is refused (429) sends its next request at once, whatever Retry-After says, to keep up the load.
    """
    from rich.console import Console

    from service.bench.processes import BenchError, measure
    from service.bench.progress_line import ProgressLine
    from service.bench.report import show
    from service.bench.workload import Workload

    workload = Workload(
        kinds=_kinds(style, factor, size, picture, format),
        order=order,
        concurrency=concurrency,
        rate=rate,
        duration=duration,
        requests=requests,
        warm_up=warm_up,
        processes=processes,
        api_key=api_key,
    )
    with ProgressLine() as line:
        report = measure(url, workload, line)
    if json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        show(report, Console())
    if not report.good:
        raise BenchError(report.why_nothing_succeeded())


def _kinds(
    styles: list[str] | None,
    factor: int | None,
    sizes: list[str] | None,
    files: list[Path] | None,
    format: PictureFormat,  # noqa: A002
) -> "tuple[Kind, ...]":
    from service.bench import pictures, workload

    if styles and factor:
        raise typer.BadParameter("give --style or --factor, not both")
    if sizes and files:
        raise typer.BadParameter("give --size or --picture, not both")
    if files:
        chosen = [pictures.read(path) for path in files]
    else:
        chosen = [pictures.make(*_parse_size(size), format) for size in sizes or ["256"]]
    if factor:
        return workload.super_resolve(factor, chosen)
    return workload.stylize(styles or ["muse"], chosen)


def _parse_size(text: str) -> tuple[int, int]:
    """Return the width and height that `256` or `640x480` stands for."""
    match = re.fullmatch(r"([1-9]\d*)(?:x([1-9]\d*))?", text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a size: write it as in 256 or 640x480")
    return int(match[1]), int(match[2] or match[1])
