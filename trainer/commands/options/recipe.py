"""Command-line options made from the fields of a recipe, so that each setting is described in one place only."""

import functools
import inspect
import types
from collections.abc import Callable
from typing import Annotated, Any, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from trainer.recipes import Recipe

_PANEL = "Settings of the recipe; the defaults are those of --recipe default"


def with_recipe_options(recipe: type[Recipe]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that gives a command an option for each field of a recipe.

    The command's parameter `changes` gets the settings that were given, by name; its other parameters stay as they are.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**values: Any) -> None:
            given = {name: values.pop(name) for name in recipe.model_fields}
            command(**values, changes={name: value for name, value in given.items() if value is not None})

        signature = inspect.signature(command)
        own = [parameter for name, parameter in signature.parameters.items() if name != "changes"]
        options = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_option(name, field))
            for name, field in recipe.model_fields.items()
        ]
        run.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *options)}
        return run

    return decorate


def as_option(name: str) -> str:
    """Return the command-line option that sets a field of a recipe, as in `--style-weight`."""
    return f"--{name.replace('_', '-')}"


def _option(name: str, field: FieldInfo) -> Any:
    kind = _without_none(field.annotation)
    flag = as_option(name)
    if get_origin(kind) is tuple:
        kind, flag = list[str], flag.removesuffix("s")
    smallest = next((each.ge for each in field.metadata if hasattr(each, "ge")), None)
    default = _as_typed(field.default)
    option = typer.Option(
        flag, min=smallest, help=f"{field.description}{default}", show_default=False, rich_help_panel=_PANEL
    )
    return Annotated[kind | None, option]


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        return next(each for each in get_args(annotation) if each is not type(None))
    return annotation


def _as_typed(default: object) -> str:
    if default is None:
        return ""
    text = " ".join(default) if isinstance(default, tuple) else default
    return f" Default: {text}."
