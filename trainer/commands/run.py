"""The parts that the commands which train share: options, the folder of the run, and the progress bar."""

import contextlib
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from model_store.store import Store
    from trainer.training.loop import TrainingProgress

NameOption = Annotated[str, typer.Option(help="Name of the model in the store.")]
FromOption = Annotated[
    str | None, typer.Option("--from", help="Model of the store to start from, as in muse or muse@1.")
]
TitleOption = Annotated[
    str | None, typer.Option(help="Title of the model on its card; made from the name if not given.")
]
AuthorOption = Annotated[
    str | None, typer.Option(help="Author of the model on its card; the current user if not given.")
]
LicenceOption = Annotated[str, typer.Option(help="Licence of the trained net on its card.")]
HeldOutOption = Annotated[int, typer.Option(min=0, help="Number of photos kept from training, to measure on.")]
PreviewOption = Annotated[
    list[Path] | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        help="Photo to make previews from; that of the first is published, too; repeatable.",
    ),
]
PreviewEveryOption = Annotated[int, typer.Option(min=0, help="Steps between previews in the run's folder; 0: none.")]
StreamOption = Annotated[
    bool | None,
    typer.Option(
        "--stream/--keep",
        help="Whether to decode photos whenever they are needed or keep them; if not given, they are kept "
        "where they fit in memory.",
        show_default=False,
    ),
]
CompileOption = Annotated[
    bool | None,
    typer.Option(
        "--compile/--no-compile",
        help="Whether to compile the losses; if not given, on a GPU where the run is long enough to save time.",
        show_default=False,
    ),
]
SaveEveryOption = Annotated[float, typer.Option(min=0, help="Seconds between checkpoints.")]
RunOption = Annotated[
    Path | None, typer.Option(help="Folder of checkpoints, logs and previews; runs/NAME if not given.")
]
ResumeOption = Annotated[
    Path | None,
    typer.Option(metavar="RUN", help="Folder of a stopped run to go on with; all other options must be as they were."),
]


def open_run(name: str, run: Path | None, resume: Path | None) -> "tuple[Store, Path]":
    """Return the store and the run's folder, after checking that both can be written to.

    Raises:
        ImpastoError: One of them cannot be written to, or the name is not valid.
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
def shown_progress(*, is_first: bool, unit: str = "step") -> "Iterator[Callable[[TrainingProgress], None]]":
    """Yield a function that shows the progress of a run: by a bar on a terminal, else by a line every ten seconds.

    Args:
        is_first: Whether this is the first of several processes; the others show nothing.
        unit: Name of a step.
    """
    console = Console(stderr=True)
    columns = (BarColumn(bar_width=10), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    next_line = 0.0
    with Progress(*columns, console=console, disable=not (console.is_terminal and is_first)) as bars:
        bar = bars.add_task("", total=None)

        def show(progress: "TrainingProgress") -> None:
            nonlocal next_line
            losses = " ".join(f"{name} {value:.3g}" for name, value in progress.losses.items())
            bars.update(bar, completed=progress.step, total=progress.steps, description=losses)
            if not console.is_terminal and (progress.seconds >= next_line or progress.step == progress.steps):
                next_line = progress.seconds + 10
                console.print(f"{unit} {progress.step}/{progress.steps}  {losses}".rstrip())

        yield show


def command_line() -> str:
    """Return the command line with the path of each file or folder shortened to its name."""
    return shlex.join(re.sub(r"[^:=]+$", lambda end: _name_of_path(end[0]), word) for word in sys.argv)


def _name_of_path(text: str) -> str:
    return Path(text).name if "/" in text and Path(text).parent.is_dir() else text
