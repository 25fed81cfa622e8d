"""The options that set the losses of a style; those that are not given keep the settings of a recipe or card."""

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
LumaWeightOption = Annotated[float | None, typer.Option(min=0, help=_help("luma_weight"))]


def given(**options: object) -> dict[str, object]:
    """Return the options that have a value, keyed by the field of a recipe that each sets."""
    return {
        field: tuple(value) if isinstance(value, list) else value
        for field, value in options.items()
        if value is not None and value != []
    }
