"""The commands of `impasto`, their arguments and options."""

from collections.abc import Iterator
from functools import cache
from importlib.metadata import entry_points
from typing import Any

import typer


@cache
def _root() -> Any:
    app = typer.Typer()
    for entry_point in entry_points(group="impasto.commands"):
        app.add_typer(entry_point.load())
    return typer.main.get_command(app)


def commands() -> dict[str, Any]:
    """Return the commands that have no commands below them, by names such as `train style`."""
    return dict(_below(_root(), []))


def _below(command: Any, path: list[str]) -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for name, each in command.commands.items():
            yield from _below(each, [*path, name])
    else:
        yield " ".join(path), command


def parse(words: list[str]) -> Any:
    """Parse the words of an `impasto` command without running it, and return the values by name.

    Raises:
        Exception: There is no such command or option, or a value is not allowed.
    """
    command, rest = _root(), words[1:]
    while hasattr(command, "commands"):
        command, rest = command.commands[rest[0]], rest[1:]
    return command.make_context(" ".join(words), list(rest)).params


def options_of(command: Any) -> dict[str, Any]:
    """Return the options of a command by their longest names, without `--no-…`."""
    return {max(each.opts, key=len): each for each in command.params if each.param_type_name == "option"}
