"""What the commands that train have in common: the folder, the bar, the logs, the card's origin."""

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from model_store.card import Draft
    from model_store.nets import TransformNet
    from model_store.store import Store
    from trainer.data.batches import Batches, Views
    from trainer.data.squares import Photos
    from trainer.recipes import StyleRecipe, SuperResolutionRecipe
    from trainer.training.processes import Processes
    from trainer.training.run_log import Shown
    from trainer.training.training import Training

NameOption = Annotated[str, typer.Option(help="What the model is called in the store.")]
FromOption = Annotated[
    str | None, typer.Option("--from", help="A model of the store to start from, as in muse or muse@1.")
]
TitleOption = Annotated[str | None, typer.Option(help="For the card; made of the name if not given.")]
AuthorOption = Annotated[str | None, typer.Option(help="For the card; the current user if not given.")]
LicenceOption = Annotated[str, typer.Option(help="For the card: terms of the trained net.")]
HeldOutOption = Annotated[int, typer.Option(min=0, help="Photos kept from training, to measure on.")]
PreviewOption = Annotated[
    list[Path] | None,
    typer.Option(
        exists=True, dir_okay=False, help="Photo to show progress on, the first also in the store; repeatable."
    ),
]
PreviewEveryOption = Annotated[int, typer.Option(min=0, help="Steps between previews in the run's folder; 0: none.")]
StreamOption = Annotated[
    bool | None,
    typer.Option(
        "--stream/--keep",
        help="Decode photos whenever they are needed, or once; if not given, once where they fit in memory.",
        show_default=False,
    ),
]
CompileOption = Annotated[
    bool | None,
    typer.Option(
        "--compile/--no-compile", help="If not given, on a GPU where the run is long enough.", show_default=False
    ),
]
SaveEveryOption = Annotated[float, typer.Option(min=0, help="Seconds between checkpoints.")]
RunOption = Annotated[
    Path | None, typer.Option(help="Folder for checkpoints, logs and previews; runs/NAME if not given.")
]
ResumeOption = Annotated[
    Path | None,
    typer.Option(metavar="RUN", help="Go on from the checkpoint in this folder, with everything else as it was."),
]


def open_run(name: str, run: Path | None, resume: Path | None) -> "tuple[Store, Path]":
    """The store and the run's folder, after checking that both can be written to.

    Raises:
        ImpastoError: they cannot, or the name is none.
    """
    from model_store.card import check_name
    from model_store.settings import StoreSettings
    from trainer.errors import BadRun
    from trainer.training.checkpoint import prepare_folder

    check_name(name)
    if run and resume:
        raise BadRun("--resume says which folder to go on in: leave --run out")
    folder = resume or run or Path("runs") / name
    prepare_folder(folder, resume=resume is not None)
    store = StoreSettings().open()
    store.check_writable()
    return store, folder


def load_shown(previews: Sequence[Path] | None) -> "list[Shown]":
    """The photos that previews are made of."""
    from trainer.data.photos import load_picture
    from trainer.pictures.previews import PREVIEW_SIDE
    from trainer.training.run_log import Shown

    return [Shown(path.stem, load_picture(path, PREVIEW_SIDE)) for path in previews or ()]


def carry_out(
    training: "Training",
    batches: "Batches",
    folder: Path,
    shown: "Sequence[Shown]",
    *,
    resume: bool,
    preview_every: int,
    save_every: float,
) -> "TransformNet":
    """Trains to a net as the store will keep it.

    Shows a progress bar, or off a terminal a line every ten seconds; keeps logs and previews in the folder.
    """
    from model_store.store import stored
    from trainer.training import loop
    from trainer.training.checkpoint import restore
    from trainer.training.run_log import RunLog

    if resume:
        restore(training, folder)
    steps = training.recipe.steps
    console = Console(stderr=True)
    columns = (BarColumn(bar_width=10), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    log = RunLog(folder, training.step, shown) if training.processes.is_first else None
    next_line = 0.0
    has_bar = console.is_terminal and training.processes.is_first
    with Progress(*columns, console=console, disable=not has_bar) as bar:
        task = bar.add_task("", total=steps, completed=training.step)

        def report(progress: loop.Progress) -> None:
            nonlocal next_line
            losses = " ".join(f"{name} {value:.3g}" for name, value in progress.losses.items())
            bar.update(task, completed=progress.step, description=losses)
            if not console.is_terminal and (progress.seconds >= next_line or progress.step == steps):
                next_line = progress.seconds + 10
                console.print(f"step {progress.step}/{steps}  {losses}")
            if log is not None:
                log.losses(progress, training.recipe.rate_at(progress.step - 1))

        def show(step: int) -> None:
            if log is not None:
                log.previews(training.average, step)

        try:
            net = loop.train(
                training, batches, folder, report, show=show, show_every=preview_every, save_every=save_every
            )
        finally:
            if log is not None:
                log.close()
    training.end()
    net.load_state_dict(stored(net.state_dict()))
    return net


def load_batches(
    photos: "Photos",
    views: "Views",
    recipe: "StyleRecipe | SuperResolutionRecipe",
    processes: "Processes",
    *,
    stream: bool | None,
) -> "Batches":
    """This process's share of the batches; says which photos they are of."""
    from trainer.data.batches import Batches

    batches = Batches(
        photos.train,
        views,
        recipe.size_at,
        processes.device,
        keep=None if stream is None else not stream,
        share=(processes.rank, processes.count),
    )
    if processes.is_first:
        typer.echo(photos.summary)
    return batches


def publish(draft: "Draft", net: "TransformNet", shown: "Sequence[Shown]", store: "Store", folder: Path) -> None:
    """Publishes what a run made, with a preview if there is a photo for it, and notes that in the run's folder."""
    from trainer.pictures.previews import preview, to_jpeg
    from trainer.training.checkpoint import mark_published

    jpeg = to_jpeg(preview(net, shown[0].photo)) if shown else None
    card = store.publish(draft, net.state_dict(), jpeg)
    mark_published(folder, f"{card.task}/{card.label}")
    typer.echo(f"published {card.task}/{card.label}")


def command_line() -> str:
    """What was typed, with the names of files and folders for their paths."""
    return shlex.join(re.sub(r"[^:=]+$", lambda end: _name_of_path(end[0]), word) for word in sys.argv)


def _name_of_path(text: str) -> str:
    return Path(text).name if "/" in text and Path(text).parent.is_dir() else text
