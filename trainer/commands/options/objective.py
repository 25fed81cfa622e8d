"""Options of what a style picture is made for; where one is not given, something else decides."""

from typing import Annotated, Literal

import typer

from trainer.recipes import StyleRecipe


def _help(field: str) -> str | None:
    return StyleRecipe.model_fields[field].description


LossNetworksOption = Annotated[list[str] | None, typer.Option("--loss-network", help=_help("loss_networks"))]
ContentTapsOption = Annotated[list[str] | None, typer.Option("--content-tap", help=_help("content_taps"))]
StyleTapsOption = Annotated[list[str] | None, typer.Option("--style-tap", help=_help("style_taps"))]
LossesOption = Annotated[Literal["relative", "absolute"] | None, typer.Option(help=_help("losses"))]
ContentWeightOption = Annotated[float | None, typer.Option(min=0, help=_help("content_weight"))]
StyleWeightOption = Annotated[float | None, typer.Option(min=0, help=_help("style_weight"))]
VariationWeightOption = Annotated[float | None, typer.Option(min=0, help=_help("variation_weight"))]


def given(**options: object) -> dict[str, object]:
    """The options that were given, by the fields of a recipe that they set."""
    return {
        field: tuple(value) if isinstance(value, list) else value
        for field, value in options.items()
        if value is not None and value != []
    }
