"""`impasto serve`, `impasto stylize` and `impasto super-resolve`."""

import asyncio
import os
import signal
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from model_store.errors import ImpastoError

app = typer.Typer()
keys_app = typer.Typer(help="API keys of a server.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")

_LONGEST_PAUSE_S = 30
"""After which a worker that does not move is replaced; loading torch from a cold disk takes seconds."""

PictureArgument = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="JPEG, PNG, WebP or AVIF.")]
OutputOption = Annotated[Path, typer.Option("--output", "-o", help="Where to write; its suffix chooses the format.")]
QualityOption = Annotated[int, typer.Option(min=1, max=100, help="Of JPEG, WebP and AVIF.")]


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that share the port and the device; else IMPASTO_WORKERS.")
    ] = None,
    grace: Annotated[int, typer.Option(min=0, help="Seconds to finish what was accepted, on SIGTERM.")] = 30,
) -> None:
    """Serve over HTTP; settings come from the environment (IMPASTO_…)."""
    # Torch then asks for large pages: mapping small ones for each picture costs a CPU up to a tenth of its time.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    import uvicorn

    from service import logs
    from service.app import create_app
    from service.settings import Settings

    # uvicorn drains on SIGTERM and then raises it again: that is a clean end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if workers is not None:
        os.environ["IMPASTO_WORKERS"] = str(workers)
    # Made here for several workers, too: what is wrong with the settings is told once, before any of them starts.
    settings = Settings()
    app = create_app(settings)
    log_config = logs.configuration(settings.log_format, settings.log_level)
    run = partial(uvicorn.run, host=host, port=port, timeout_graceful_shutdown=grace, log_config=log_config)
    if settings.workers == 1:
        run(app)
        return
    with tempfile.TemporaryDirectory(prefix="impasto-metrics-") as folder:
        os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", folder)
        run(
            "service.app:create_app",
            factory=True,
            workers=settings.workers,
            timeout_worker_healthcheck=_LONGEST_PAUSE_S,
        )


@keys_app.command("new")
def new_key(
    name: Annotated[str, typer.Argument(help="Of its owner, for the log and the metrics.")],
    concurrency: Annotated[int | None, typer.Option(min=1, help="Requests in flight at once; default: any.")] = None,
) -> None:
    """Make an API key: itself for its owner, and its entry of IMPASTO_API_KEYS, which has only a hash."""
    from service import keys

    key, entry = keys.make(name, concurrency)
    typer.echo(f"key    {key}\nentry  {entry}")


@app.command()
def stylize(
    picture: PictureArgument,
    output: OutputOption,
    style: Annotated[str, typer.Option(help="As listed by impasto models ls, or a blend: a:0.7,b:0.3.")],
    quality: QualityOption = 90,
) -> None:
    """Paint a photo in a style, here, without a server."""
    _transform("stylize", style, picture, output, quality)


@app.command("super-resolve")
def super_resolve(
    picture: PictureArgument,
    output: OutputOption,
    factor: Annotated[int, typer.Option(min=2, help="Of enlargement.")] = 4,
    quality: QualityOption = 90,
    *,
    blurred: Annotated[
        bool, typer.Option("--blurred", help="For a picture that is soft because it was blurred before it was shrunk.")
    ] = False,
    fidelity: Annotated[
        float, typer.Option(min=0, max=1, help="From 1, true to the picture, to 0, sharp with made-up detail.")
    ] = 1.0,
    self_ensemble: Annotated[
        bool, typer.Option("--self-ensemble", help="About 0.2 dB better, by the mean of eight enlargements.")
    ] = False,
    match_histogram: Annotated[
        bool, typer.Option("--match-histogram", help="Give the answer the picture's distribution of colours.")
    ] = False,
) -> None:
    """Enlarge a picture, here, without a server."""
    from service.blends import blend_for_factor

    model = blend_for_factor(factor, blurred=blurred, fidelity=fidelity)
    _transform(
        "super-resolve", model, picture, output, quality, self_ensemble=self_ensemble, match_histogram=match_histogram
    )


def _transform(
    task: Literal["stylize", "super-resolve"],
    model: str,
    picture: Path,
    output: Path,
    quality: int,
    **asked: bool,
) -> None:
    """Runs the pipeline once; what else is asked for is as in `Pipeline.run`."""
    from model_store.settings import StoreSettings
    from service.codec import format_of
    from service.device import choose_device
    from service.pipeline import Pipeline
    from service.settings import Settings

    written_as = format_of(output)
    if not output.parent.is_dir():
        raise ImpastoError(f"cannot write {output}: there is no folder {output.parent}")
    settings = Settings()
    pipeline = Pipeline(StoreSettings().open(), choose_device(settings.device), settings)
    try:
        work = pipeline.run(task, model, picture.read_bytes(), written_as, quality, **asked)
        answer = asyncio.run(work)
    finally:
        pipeline.close()
    output.write_bytes(answer.content)
    typer.echo(f"{output}: {answer.model}, {sum(stage.seconds for stage in answer.stages):.1f} s")
