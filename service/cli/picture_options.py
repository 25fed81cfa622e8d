"""The picture options of the command line, made from the fields of the service's option models."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer
from pydantic.fields import FieldInfo

from service.contract.options import PictureOptions


def with_picture_options(options: type[PictureOptions]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each field of a pydantic model, with its default, range and description.

    The command's parameter `options` receives the values by name. A field gets no option here if the command itself has
    a parameter of that name.

    Args:
        options: The pydantic model whose fields become options.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command)
        own = [parameter for name, parameter in signature.parameters.items() if name != "options"]
        named = {parameter.name for parameter in own}
        added = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=_option(name, field)
            )
            for name, field in options.model_fields.items()
            if name not in named
        ]

        @functools.wraps(command)
        def run(**values: Any) -> None:
            given = {parameter.name: values.pop(parameter.name) for parameter in added}
            command(**values, options=given)

        keyword_only = [parameter for parameter in own if parameter.kind is inspect.Parameter.KEYWORD_ONLY]
        others = [parameter for parameter in own if parameter not in keyword_only]
        parameters = [*others, *added, *keyword_only]
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


def _option(name: str, field: FieldInfo) -> Any:
    limits = {limit: getattr(each, limit) for each in field.metadata for limit in ("ge", "le") if hasattr(each, limit)}
    description = (field.description or "").replace("`", "")
    option = typer.Option(f"--{name.replace('_', '-')}", min=limits.get("ge"), max=limits.get("le"), help=description)
    return Annotated[field.annotation, option]
