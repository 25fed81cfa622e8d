"""`impasto stylize` and `impasto super-resolve`."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.large_pages import ask_for_large_pages
from service.client.options import Format, MapOptions

if TYPE_CHECKING:
    from service.batch.batch import Batch

_INTERRUPTED = 130


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
QualityOption = Annotated[int, typer.Option(min=1, max=100, help="Of JPEG, WebP and AVIF.")]
KeepMetadataOption = Annotated[bool, typer.Option("--keep-metadata", help="Keep the metadata of the picture.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Make anew what is there already.")]
ServerOption = Annotated[
    str | None, typer.Option(metavar="URL", help="Have a server do it, instead of this machine's device.")
]
ApiKeyOption = Annotated[str | None, typer.Option(envvar="IMPASTO_API_KEY", help="For a server that asks for one.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object a line: each picture, and a summary.")]


def stylize(
    pictures: PicturesArgument,
    output: OutputOption,
    style: Annotated[
        str,
        typer.Option(help="As listed by impasto models ls, or a blend: a:0.7,b:0.3.", autocompletion=complete_style),
    ],
    strength: Annotated[float, typer.Option(min=0, max=1, help="From 0, the photo, to 1, the painting.")] = 1.0,
    size: Annotated[
        int | None, typer.Option(min=16, help="Pixels of the longest side to which photos are resized before.")
    ] = None,
    format: FormatOption = "auto",  # noqa: A002
    quality: QualityOption = 90,
    *,
    preserve_color: Annotated[bool, typer.Option("--preserve-color", help="Keep the colours of the photo.")] = False,
    keep_metadata: KeepMetadataOption = False,
    overwrite: OverwriteOption = False,
    server: ServerOption = None,
    api_key: ApiKeyOption = None,
    json: JsonOption = False,
) -> None:
    """Paint photos in a style. What is there already is skipped, so the same command goes on where one was stopped."""
    options: MapOptions = {
        "style": style,
        "strength": strength,
        "preserve_color": preserve_color,
        "size": size,
        "quality": quality,
        "keep_metadata": keep_metadata,
    }
    _transform(pictures, output, format, options, overwrite=overwrite, server=server, api_key=api_key, as_json=json)


def super_resolve(
    pictures: PicturesArgument,
    output: OutputOption,
    factor: Annotated[int, typer.Option(min=2, help="Of enlargement.")] = 4,
    fidelity: Annotated[
        float, typer.Option(min=0, max=1, help="From 1, true to the picture, to 0, sharp with made-up detail.")
    ] = 1.0,
    format: FormatOption = "auto",  # noqa: A002
    quality: QualityOption = 90,
    *,
    blurred: Annotated[
        bool, typer.Option("--blurred", help="For a picture that is soft because it was blurred before it was shrunk.")
    ] = False,
    self_ensemble: Annotated[
        bool, typer.Option("--self-ensemble", help="About 0.2 dB better, by the mean of eight enlargements.")
    ] = False,
    match_histogram: Annotated[
        bool, typer.Option("--match-histogram", help="Give the answer the picture's distribution of colours.")
    ] = False,
    keep_metadata: KeepMetadataOption = False,
    overwrite: OverwriteOption = False,
    server: ServerOption = None,
    api_key: ApiKeyOption = None,
    json: JsonOption = False,
) -> None:
    """Enlarge pictures. What is there already is skipped, so the same command goes on where one was stopped."""
    options: MapOptions = {
        "factor": factor,
        "fidelity": fidelity,
        "blurred": blurred,
        "self_ensemble": self_ensemble,
        "match_histogram": match_histogram,
        "quality": quality,
        "keep_metadata": keep_metadata,
    }
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
    from service.batch.batch import Batch
    from service.batch.plan import plan
    from service.batch.report import JsonReport, TextReport

    try:
        todo = plan(pictures, output, format)
    except FileNotFoundError as error:
        raise typer.BadParameter(str(error)) from error
    batch = Batch(todo.jobs, JsonReport(todo, sys.stdout) if as_json else TextReport(todo), overwrite=overwrite)
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


async def _run(batch: "Batch", server: str | None, api_key: str | None, options: MapOptions) -> None:
    if server is not None:
        from service.batch.remote import there

        painter = there(server, api_key, options)
    else:
        ask_for_large_pages()
        from service.batch.local import here

        painter = here(options)
    async with painter as paint:
        await batch.run(paint)
