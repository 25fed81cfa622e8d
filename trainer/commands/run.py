"""What the commands that train have in common: their options, the folder, and the bar."""

import contextlib
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

if TYPE_CHECKING:
    from model_store.store import Store
    from trainer.training.loop import Progress

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


@contextlib.contextmanager
def shown_progress(*, is_first: bool) -> "Iterator[Callable[[Progress], None]]":
    """Gives what shows the progress of a run: by a bar, or off a terminal by a line every ten seconds.

    Args:
        is_first: whether this is the first of several processes; the others show nothing.
    """
    console = Console(stderr=True)
    columns = (BarColumn(bar_width=10), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    next_line = 0.0
    with Bars(*columns, console=console, disable=not (console.is_terminal and is_first)) as bars:
        bar = bars.add_task("", total=None)

        def show(progress: "Progress") -> None:
            nonlocal next_line
            losses = " ".join(f"{name} {value:.3g}" for name, value in progress.losses.items())
            bars.update(bar, completed=progress.step, total=progress.steps, description=losses)
            if not console.is_terminal and (progress.seconds >= next_line or progress.step == progress.steps):
                next_line = progress.seconds + 10
                console.print(f"step {progress.step}/{progress.steps}  {losses}")

        yield show


def command_line() -> str:
    """What was typed, with the names of files and folders for their paths."""
    return shlex.join(re.sub(r"[^:=]+$", lambda end: _name_of_path(end[0]), word) for word in sys.argv)


def _name_of_path(text: str) -> str:
    return Path(text).name if "/" in text and Path(text).parent.is_dir() else text
