"""Following an optimisation on the terminal."""

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
    """Where an optimisation ended."""

    best: "Iteration"
    """That with the lowest objective: without a line search, the last may be a leap too far."""
    number: int
    """Of the last iteration."""
    is_stopped: bool
    """By Ctrl-C, before its end."""


def follow(
    iterations: "Iterator[Iteration]",
    total: int,
    label: str,
    on_iteration: "Callable[[Iteration], None]" = lambda _: None,
) -> Outcome:
    """Runs an optimisation to its end or to Ctrl-C, and shows how far it is.

    Args:
        iterations: numbered from 0; at least one.
        total: the number of the last.
        label: of the bar or the lines.
        on_iteration: called with each.

    Raises:
        KeyboardInterrupt: before the first iteration.
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
    """Passes the iterations on and shows the objective: by a bar, or off a terminal by a line every ten seconds."""
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
    """Says what was written.

    Raises:
        Exit: it was stopped; with the status of Ctrl-C.
    """
    if outcome.is_stopped:
        typer.echo(f"stopped at iteration {outcome.number} of {total}; wrote the best so far to {output}", err=True)
        raise typer.Exit(130)
    typer.echo(f"wrote {output}")
