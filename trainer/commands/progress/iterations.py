"""The progress of an optimisation, and its end, shown on the terminal."""

import contextlib
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from trainer.baselines.gatys import Iteration

_SECONDS_BETWEEN_LINES = 10.0


class Outcome(NamedTuple):
    """The outcome of an optimisation."""

    best: "Iteration"
    """Iteration with the lowest objective, which need not be the last, because there is no line search."""
    number: int
    """Number of the last iteration."""
    is_stopped: bool
    """Whether Ctrl-C stopped the optimisation before its end."""


def follow(
    iterations: "Iterator[Iteration]",
    total: int,
    label: str,
    on_iteration: "Callable[[Iteration], None]" = lambda _: None,
) -> Outcome:
    """Run an optimisation to its end or to Ctrl-C, and show its progress.

    Args:
        iterations: Iterations of the optimisation, at least one, numbered from 0.
        total: Number of the last iteration.
        label: Text beside the bar or at the beginning of each line.
        on_iteration: Function that is called with each iteration.

    Raises:
        KeyboardInterrupt: Ctrl-C was typed before the first iteration.
    """
    best = last = None
    try:
        with contextlib.closing(shown(iterations, total, label)) as each_shown:
            for last in each_shown:
                best = last if best is None or last.objective < best.objective else best
                on_iteration(last)
    except KeyboardInterrupt:
        if best is None or last is None:
            raise
        return Outcome(best, last.number, is_stopped=True)
    if best is None or last is None:
        raise ValueError("an optimisation has at least its start")
    return Outcome(best, last.number, is_stopped=False)


def shown(iterations: "Iterator[Iteration]", total: int, label: str) -> "Generator[Iteration, None, None]":
    """Pass iterations on and show the objective: by a bar on a terminal, else by a line every ten seconds."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("objective {task.fields[objective]:.4g}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    printed = time.monotonic()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task(escape(label), total=total, objective=float("nan"))
        for iteration in iterations:
            yield iteration
            progress.update(bar, completed=iteration.number, objective=iteration.objective)
            if not console.is_terminal and time.monotonic() - printed >= _SECONDS_BETWEEN_LINES:
                printed = time.monotonic()
                line = f"{label}: iteration {iteration.number}/{total}, objective {iteration.objective:.4g}"
                console.print(line, markup=False, highlight=False, soft_wrap=True)


def say_end(outcome: Outcome, total: int, output: Path) -> None:
    """Print the path of the picture that was written.

    Raises:
        Exit: The optimisation was stopped; the exit status is that of Ctrl-C.
    """
    if outcome.is_stopped:
        typer.echo(f"stopped at iteration {outcome.number} of {total}; wrote the best so far to {output}", err=True)
        raise typer.Exit(130)
    typer.echo(f"wrote {output}")
