"""The commands `impasto models …`, which list, show, check and publish models."""

from json import dumps
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from model_store.card import TASKS, Draft, Task, parse_label

_LISTED = {"task", "name", "version", "title", "licence"}
_PREVIEW_COLUMNS = 36

app = typer.Typer()
models = typer.Typer(no_args_is_help=True, help="List, show, check and publish models.")
app.add_typer(models, name="models")

ModelArgument = Annotated[
    str, typer.Argument(metavar="TASK/NAME[@VERSION]", help="For example stylize/muse or muse@1.")
]


@models.command("ls")
def list_models(
    *,
    previews: Annotated[
        bool, typer.Option("--previews", help="Show the preview of each, if the terminal has 24-bit colours.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """List the newest version of every model."""
    from model_store.settings import StoreSettings

    store = StoreSettings().open()
    sizes = [(card, store.size(card)) for card in store.cards()]
    console = Console()
    if json:
        listed = [card.model_dump(mode="json", include=_LISTED) | {"bytes": size} for card, size in sizes]
        typer.echo(dumps(listed, indent=2))
        return
    if not console.is_terminal:
        for card, size in sizes:
            typer.echo(f"{card.task}/{card.label}\t{card.title}\t{size}\t{card.licence}")
        return
    shows = previews and console.color_system == "truecolor"
    if previews and not shows:
        typer.echo("this terminal does not say that it has 24-bit colours (COLORTERM=truecolor): no previews", err=True)
    table = Table("task", "name", "version", "title", "size", "licence", box=None, header_style="bold")
    for card, size in sizes:
        name = Text(card.name, "bold")
        preview = store.preview(card.task, card.name, card.version) if shows else None
        if preview is not None:
            from model_store.cli.half_blocks import half_blocks

            name = Text("\n").join([name, half_blocks(preview, _PREVIEW_COLUMNS), Text()])
        words = (escape(each) for each in (card.title, decimal(size), card.licence))
        table.add_row(card.task, name, str(card.version), *words)
    console.print(table)


@models.command()
def show(model: ModelArgument) -> None:
    """Print the card of a model, as JSON."""
    from model_store.settings import StoreSettings

    task, name, version = _parse(model)
    typer.echo(StoreSettings().open().card(task, name, version).model_dump_json(indent=2, exclude_none=True))


@models.command()
def verify(model: Annotated[str | None, typer.Argument(metavar="[TASK/NAME[@VERSION]]")] = None) -> None:
    """Read a model whole and check its sha256; without an argument, every version of every model."""
    from model_store.errors import StoreError
    from model_store.settings import StoreSettings

    store = StoreSettings().open()
    if model is None:
        chosen: list[tuple[Task, str, int | None]] = [
            (task, name, version)
            for task in TASKS
            for name in store.names(task)
            for version in store.versions(task, name)
        ]
    else:
        chosen = [_parse(model)]
    damaged = 0
    for task, name, version in chosen:
        try:
            card = store.open(task, name, version).card
        except StoreError as error:
            damaged += 1
            typer.echo(f"FAILED  {error}", err=True)
        else:
            typer.echo(f"ok      {card.task}/{card.label}  {card.sha256}")
    if damaged:
        raise typer.Exit(1)


@models.command()
def gallery(
    root: Annotated[
        str | None, typer.Argument(help="Folder or URL of a store; the bundled models if not given.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write, in ROOT, because its links are relative.")
    ] = None,
) -> None:
    """Make a page in Markdown that shows models with their previews and measurements."""
    from model_store.gallery import gallery as make
    from model_store.root import BUNDLED, Root

    page = make(Root(root or str(BUNDLED)))
    if output is None:
        typer.echo(page, nl=False)
    else:
        output.write_text(page, encoding="utf-8")


@models.command()
def publish(
    weights: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The net's weights, as safetensors.")],
    card: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="The card, as JSON.")],
    preview: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A JPEG that shows what it does.")
    ] = None,
) -> None:
    """Publish a model as the next version of its name, in the first root of IMPASTO_STORE."""
    import safetensors.torch
    from pydantic import ValidationError
    from safetensors import SafetensorError

    from model_store.errors import CannotPublish
    from model_store.settings import StoreSettings

    try:
        draft = Draft.model_validate_json(card.read_bytes())
        tensors = safetensors.torch.load_file(weights)
    except ValidationError as error:
        raise CannotPublish(f"{card} is not a card: {error}") from error
    except SafetensorError as error:
        raise CannotPublish(
            f"{weights} is not a safetensors file: {error}; a .pth of others is read by impasto models import"
        ) from error
    published = StoreSettings().open().publish(draft, tensors, preview.read_bytes() if preview else None)
    typer.echo(f"published {published.task}/{published.label}")


@models.command("import")
def import_model(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A .pth of torch.save, or .safetensors.")],
    *,
    name: Annotated[str, typer.Option("--as", metavar="NAME", help="Name of the model, such as mosaic or x4-pixel.")],
    licence: Annotated[str, typer.Option(prompt="Licence of the weights", help="Licence of the weights.")],
    author: Annotated[str, typer.Option(prompt="Author of the weights", help="Author of the weights.")],
    title: Annotated[str | None, typer.Option(help="Name of the model for people.")] = None,
    source: Annotated[str, typer.Option(metavar="URL", help="Where the file comes from.")] = "",
) -> None:
    """Publish a net that others trained: PyTorch's fast_neural_style, BasicSR's EDSR and SRResNet, or impasto's own."""
    from model_store.exchange.importing import import_model
    from model_store.settings import StoreSettings

    store = StoreSettings().open()
    card = import_model(store, file, name, licence=licence, author=author, title=title, source=source)
    typer.echo(f"published {card.task}/{card.label}: {card.recipe['layout']}")


@models.command()
def export(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="For example muse, stylize/muse@1 or muse:0.5,udnie:0.5.")
    ],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; by default MODEL.onnx.")] = None,
    *,
    half: Annotated[bool, typer.Option("--half", help="Keep the weights in float16: half the size.")] = False,
) -> None:
    """Write a model, or a blend of models, as ONNX, once ONNX Runtime makes the same of pictures of three sizes."""
    from model_store.exchange.onnx import export as export_onnx
    from model_store.nets.interpolation import interpolate
    from model_store.settings import StoreSettings

    store = StoreSettings().open()
    parts = [part.partition(":")[::2] for part in model.split(",")]
    opened = [store.open(*_parse(label)) for label, _ in parts]
    net = interpolate([each.net for each in opened], [_share(share) for _, share in parts])
    path = output or Path(f"{'-'.join(each.card.name for each in opened)}.onnx")
    largest = export_onnx(net, [each.card for each in opened], path, half=half)
    typer.echo(f"wrote {path}, {decimal(path.stat().st_size)}; it differs from the net by {largest:.2g}/255 at most")


def _share(text: str) -> float:
    try:
        return float(text or 1)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no share: write a number, as in muse:0.5,udnie:0.5") from None


def _parse(model: str) -> tuple[Task, str, int | None]:
    """Split `[task/]label` into task, name and version; without a task, it is the first that has such a name."""
    task, _, label = model.rpartition("/")
    name, version = parse_label(label)
    if not task:
        from model_store.settings import StoreSettings

        store = StoreSettings().open()
        task = next((known for known in TASKS if name in store.names(known)), TASKS[0])
    if task not in TASKS:
        raise typer.BadParameter(f"there is no task {task!r}: say {' or '.join(TASKS)}")
    return task, name, version
