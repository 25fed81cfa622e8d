"""`impasto serve`, `impasto stylize` and `impasto super-resolve`."""

import asyncio
import os
import signal
import sys
import tempfile
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from service.batch.picture_options import with_picture_options
from service.client.options import Format, MapOptions
from service.contract.options import PictureOptions, StylizeOptions, SuperResolveOptions

if TYPE_CHECKING:
    from service.batch.batch import BatchRun

app = typer.Typer()
keys_app = typer.Typer(help="API keys of a server.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")

_LONGEST_PAUSE_S = 30
"""After which a worker that does not move is replaced; loading torch from a cold disk takes seconds."""
_INTERRUPTED = 130
"""The exit code after Ctrl-C."""
DEFAULT_FORMAT: Format = PictureOptions.model_fields["format"].default


def complete_style(incomplete: str) -> list[str]:
    """The styles of the local store that go on so; of a blend, its last part."""
    try:
        from model_store.settings import StoreSettings
    except ModuleNotFoundError:  # an installation of the client alone, which has no store
        return []
    before, comma, part = incomplete.rpartition(",")
    names = StoreSettings().local_names("stylize")
    return [f"{before}{comma}{name}" for name in names if name.startswith(part)]


PicturesArgument = Annotated[
    list[str],
    typer.Argument(metavar="PICTURES...", help="Files, folders with all below them, or globs as in 'photos/**/*.jpg'."),
]
OutputOption = Annotated[
    str,
    typer.Option(
        "--output", "-o", help="A file, whose suffix chooses the format, or a folder, which keeps the tree of folders."
    ),
]
FormatOption = Annotated[Format, typer.Option(help="Of what is made in a folder; auto keeps each picture's.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Make anew what is there already.")]
ServerOption = Annotated[
    str | None, typer.Option(metavar="URL", help="Have a server do it, instead of this machine's device.")
]
ApiKeyOption = Annotated[str | None, typer.Option(envvar="IMPASTO_API_KEY", help="For a server that asks for one.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object a line: each picture, and a summary.")]


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
    # First of all: what is process 1 of a container would else not hear of it while it imports torch. And uvicorn,
    # once it has stopped on SIGTERM, raises it again: that is a clean end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    _ask_for_large_pages()
    import uvicorn

    from service.server import processes as serving
    from service.server.app import create_app
    from service.server.routes.live import MOST_FRAME_BYTES
    from service.server.settings import Settings
    from service.server.telemetry import logs

    if workers is not None:
        os.environ["IMPASTO_WORKERS"] = str(workers)
    # Made here for several workers, too: what is wrong with the settings is told once, before any of them starts.
    settings = Settings()
    app = create_app(settings)
    configure = partial(
        uvicorn.Config,
        host=host,
        port=port,
        log_config=logs.configuration(settings.log_format, settings.log_level),
        ws_max_size=2 * MOST_FRAME_BYTES,
        ws_per_message_deflate=False,  # frames are compressed already
    )
    if settings.workers == 1:
        serving.serve_alone(configure(app), grace)
        return
    with tempfile.TemporaryDirectory(prefix="impasto-metrics-") as folder:
        os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", folder)
        config = configure(
            "service.server.app:create_app",
            factory=True,
            workers=settings.workers,
            timeout_worker_healthcheck=_LONGEST_PAUSE_S,
        )
        serving.serve_by_workers(config, grace)


@keys_app.command("new")
def new_key(
    name: Annotated[str, typer.Argument(help="Of its owner, for the log and the metrics.")],
    concurrency: Annotated[int | None, typer.Option(min=1, help="Requests in flight at once; default: any.")] = None,
) -> None:
    """Make an API key: itself for its owner, and its entry of IMPASTO_API_KEYS, which has only a hash."""
    from service.server.limits import api_keys as keys

    key, entry = keys.make(name, concurrency)
    typer.echo(f"key    {key}\nentry  {entry}")


@app.command()
@with_picture_options(StylizeOptions)
def stylize(
    pictures: PicturesArgument,
    output: OutputOption,
    style: Annotated[
        str,
        typer.Option(help="As listed by impasto models ls, or a blend: a:0.7,b:0.3.", autocompletion=complete_style),
    ],
    format: FormatOption = DEFAULT_FORMAT,  # noqa: A002
    *,
    overwrite: OverwriteOption = False,
    server: ServerOption = None,
    api_key: ApiKeyOption = None,
    json: JsonOption = False,
    options: MapOptions,
) -> None:
    """Paint photos in a style. What is there already is skipped, so the same command goes on where one was stopped."""
    options["style"] = style
    _transform(pictures, output, format, options, overwrite=overwrite, server=server, api_key=api_key, as_json=json)


@app.command("super-resolve")
@with_picture_options(SuperResolveOptions)
def super_resolve(
    pictures: PicturesArgument,
    output: OutputOption,
    format: FormatOption = DEFAULT_FORMAT,  # noqa: A002
    *,
    overwrite: OverwriteOption = False,
    server: ServerOption = None,
    api_key: ApiKeyOption = None,
    json: JsonOption = False,
    options: MapOptions,
) -> None:
    """Enlarge pictures. What is there already is skipped, so the same command goes on where one was stopped."""
    _transform(pictures, output, format, options, overwrite=overwrite, server=server, api_key=api_key, as_json=json)


def _transform(
    pictures: list[str],
    output: str,
    format: Format,  # noqa: A002
    options: MapOptions,
    *,
    overwrite: bool,
    server: str | None,
    api_key: str | None,
    as_json: bool,
) -> None:
    """Makes all pictures; 1 is the exit code if some failed, and 130 if it was interrupted."""
    from service.batch.batch import BatchRun
    from service.batch.reporters import JsonReporter, TextReporter
    from service.batch.work_list import list_work

    try:
        todo = list_work(pictures, output, format)
    except FileNotFoundError as error:
        raise typer.BadParameter(str(error)) from error
    batch = BatchRun(todo.jobs, JsonReporter(todo, sys.stdout) if as_json else TextReporter(todo), overwrite=overwrite)
    interrupted = False
    try:
        if batch.waiting:
            asyncio.run(_run(batch, server, api_key, options))
    except KeyboardInterrupt:
        interrupted = True
    finally:
        summary = batch.end()
    if interrupted:
        raise typer.Exit(_INTERRUPTED)
    if summary.failed:
        raise typer.Exit(1)


async def _run(batch: "BatchRun", server: str | None, api_key: str | None, options: MapOptions) -> None:
    if server is not None:
        from service.batch.remote import remote_painter

        painter = remote_painter(server, api_key, options)
    else:
        _ask_for_large_pages()
        from service.batch.local import local_painter

        painter = local_painter(options)
    async with painter as paint:
        await batch.run(paint)


def _ask_for_large_pages() -> None:
    """Has torch do so, before it is imported: to map small ones for each picture costs a CPU up to a tenth."""
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
