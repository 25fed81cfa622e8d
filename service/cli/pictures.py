"""The commands `impasto stylize` and `impasto super-resolve`."""

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from service.cli.large_pages import ask_for_large_pages
from service.cli.picture_options import with_picture_options
from service.client.options import Format, MapOptions
from service.contract.options import PictureOptions, StylizeOptions, SuperResolveOptions
from service.video.encoding import DEFAULT_TEMPORAL, Codec, FilmOptions

if TYPE_CHECKING:
    from service.batch.batch import BatchRun, Reporter
    from service.batch.work_list import WorkList

_INTERRUPTED = 130
"""Exit code after Ctrl-C."""
DEFAULT_FORMAT: Format = PictureOptions.model_fields["format"].default


def complete_style(incomplete: str) -> list[str]:
    """Return the styles of the local store that complete what was typed; for a blend, complete its last part."""
    try:
        from model_store.naming import without_light_nets
        from model_store.settings import StoreSettings
    except ModuleNotFoundError:  # an installation of the client alone, which has no store
        return []
    before, comma, part = incomplete.rpartition(",")
    names = without_light_nets(StoreSettings().local_names("stylize"))
    return [f"{before}{comma}{name}" for name in names if name.startswith(part)]


PicturesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="PICTURES...",
        help="Pictures and films: files, folders with all files below them, or globs as in 'photos/**/*.jpg'; "
        "- is standard input.",
    ),
]
OutputOption = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        help="A file, whose suffix chooses the format, or a folder, in which the tree of folders is kept; "
        "- is standard output.",
    ),
]
FormatOption = Annotated[
    Format, typer.Option(help="Format of the pictures in an output folder; auto keeps each one's.")
]
CodecOption = Annotated[Codec | None, typer.Option(help="Codec of films: H.264 if not given, in WebM VP9.")]
CrfOption = Annotated[
    int | None,
    typer.Option(
        min=0, max=63, help="Quality of films: 0 loses least, 6 more halve the file; h264 takes 20 if not given."
    ),
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Go on with films that an earlier run left unfinished, as NAME.partial.mp4.")
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Make pictures again whose output exists already.")]
TemporalOption = Annotated[
    float,
    typer.Option(
        min=0,
        max=1,
        help="How calm films are: the share that the painting before has in each; 0 paints frame by frame.",
    ),
]
ServerOption = Annotated[
    str | None, typer.Option(metavar="URL", help="Have a server make the pictures, instead of this machine.")
]
ApiKeyOption = Annotated[
    str | None, typer.Option(envvar="IMPASTO_API_KEY", help="API key for the server, if it asks for one.")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object a line: one for each picture, and a summary.")
]


@with_picture_options(StylizeOptions)
def stylize(
    pictures: PicturesArgument,
    output: OutputOption,
    style: Annotated[
        str,
        typer.Option(
            help="A style that impasto models ls lists, or a blend: a:0.7,b:0.3.", autocompletion=complete_style
        ),
    ],
    format: FormatOption = DEFAULT_FORMAT,  # noqa: A002
    *,
    codec: CodecOption = None,
    crf: CrfOption = None,
    temporal: TemporalOption = DEFAULT_TEMPORAL,
    resume: ResumeOption = False,
    overwrite: OverwriteOption = False,
    server: ServerOption = None,
    api_key: ApiKeyOption = None,
    json: JsonOption = False,
    options: MapOptions,
) -> None:
    """Paint photos and films in a style.

    Paintings that exist are skipped: after an interruption, run the same command again, with --resume for a film.
    """
    options["style"] = style
    films = FilmOptions(codec, crf, resume, overwrite, temporal)
    _transform(pictures, output, format, options, films, server=server, api_key=api_key, as_json=json)


@with_picture_options(SuperResolveOptions)
def super_resolve(
    pictures: PicturesArgument,
    output: OutputOption,
    format: FormatOption = DEFAULT_FORMAT,  # noqa: A002
    *,
    codec: CodecOption = None,
    crf: CrfOption = None,
    resume: ResumeOption = False,
    overwrite: OverwriteOption = False,
    server: ServerOption = None,
    api_key: ApiKeyOption = None,
    json: JsonOption = False,
    options: MapOptions,
) -> None:
    """Enlarge pictures and films.

    Enlargements that exist are skipped: after an interruption, run the same command again, with --resume for a film.
    """
    films = FilmOptions(codec, crf, resume, overwrite)
    _transform(pictures, output, format, options, films, server=server, api_key=api_key, as_json=json)


def _transform(
    pictures: list[str],
    output: str,
    format: Format,  # noqa: A002
    options: MapOptions,
    films: FilmOptions,
    *,
    server: str | None,
    api_key: str | None,
    as_json: bool,
) -> None:
    """Make all pictures and films; end with exit code 1 if any could not be read or made, and with 130 after Ctrl-C."""
    from service.batch.streams import STREAM, work_of

    if as_json and output == STREAM:
        raise typer.BadParameter("--json and the picture cannot both go to standard output: give -o a file")
    try:
        with work_of(pictures, output, format) as work:
            reports_to = sys.stderr if output == STREAM else sys.stdout
            _make(work, options, films, server, api_key, reports_to, as_json=as_json)
    except FileNotFoundError as error:
        raise typer.BadParameter(str(error)) from error
    except KeyboardInterrupt:
        # Without waiting for what is being computed: a tile takes seconds, and nothing of it would be written.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_INTERRUPTED)


def _make(
    work: "WorkList",
    options: MapOptions,
    films: FilmOptions,
    server: str | None,
    api_key: str | None,
    reports_to: TextIO,
    *,
    as_json: bool,
) -> None:
    from service.batch.batch import BatchRun
    from service.batch.reporters import JsonReporter, TextReporter

    reporter = JsonReporter(work, reports_to) if as_json else TextReporter(work, reports_to)
    batch = BatchRun(work.jobs, reporter, overwrite=films.overwrite)
    try:
        if batch.waiting:
            asyncio.run(_run(batch, reporter, server, api_key, options, films))
    finally:
        summary = batch.end()
    if summary.failed or work.unreadable:
        raise typer.Exit(1)


async def _run(
    batch: "BatchRun",
    reporter: "Reporter",
    server: str | None,
    api_key: str | None,
    options: MapOptions,
    films: FilmOptions,
) -> None:
    if server is not None:
        from service.batch.remote import remote_painter

        painters = remote_painter(server, api_key, options)
    else:
        ask_for_large_pages()
        from service.batch.local import local_painter

        painters = local_painter(options, films, reporter.progressed)
    async with painters as made_by:
        await batch.run(made_by)
