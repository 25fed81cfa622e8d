"""The command `impasto optimize`, which paints a picture without a net."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from trainer.commands.options.inputs import DeviceOption, PictureArgument
from trainer.commands.options.objective import (
    ContentTapsOption,
    ContentWeightOption,
    LossesOption,
    LossNetworksOption,
    LumaWeightOption,
    StyleTapsOption,
    VariationWeightOption,
    given,
)

if TYPE_CHECKING:
    from trainer.baselines.descent import Terms
    from trainer.baselines.gatys import Iteration
    from trainer.recipes import StyleRecipe

_COLUMNS = 4


def optimize(
    content: PictureArgument,
    style: PictureArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Picture file to write, as in out.png, out.jpg or out.webp.")
    ],
    *,
    iterations: Annotated[int, typer.Option(min=0, help="Number of iterations of L-BFGS.")] = 500,
    size: Annotated[int, typer.Option(min=32, help="Shorter side of the content photo, in pixels.")] = 512,
    style_size: Annotated[
        int | None,
        typer.Option(min=32, help="Shorter side of the style picture, in pixels; that of --size if not given."),
    ] = None,
    start: Annotated[
        Literal["noise", "content"], typer.Option("--from", help="Picture to start from: noise, or the content photo.")
    ] = "noise",
    style_weight: Annotated[
        list[float] | None,
        typer.Option(
            min=0,
            help="Weight of style reconstruction; repeatable; several weights make a contact sheet of their pictures.",
        ),
    ] = None,
    content_weight: ContentWeightOption = None,
    variation_weight: VariationWeightOption = None,
    luma_weight: LumaWeightOption = None,
    content_tap: ContentTapsOption = None,
    style_tap: StyleTapsOption = None,
    loss_network: LossNetworksOption = None,
    losses: LossesOption = None,
    preview_every: Annotated[
        int,
        typer.Option(
            min=0, help="Iterations between pictures that are written on the way, as in out-000100.png; 0: none."
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of the noise.")] = 0,
    device: DeviceOption = "auto",
) -> None:
    """Transfer a style without a net, by optimising the picture itself (Gatys et al. 2016).

    Ctrl-C ends the optimisation early and writes the best picture so far.
    """
    from trainer.baselines.descent import terms_of
    from trainer.baselines.gatys import noise, optimise, style_objective
    from trainer.commands.options.inputs import choose_device
    from trainer.commands.progress.iterations import follow, say_end
    from trainer.data.photos import load_picture
    from trainer.errors import BadRecipe
    from trainer.objectives.loss_networks import load_loss_network
    from trainer.objectives.style_objective import StyleLosses
    from trainer.pictures.contact_sheet import Tile, contact_sheet, in_rows, to_image
    from trainer.pictures.picture_files import beside, check_output, save
    from trainer.recipes import StyleRecipe

    if losses == "absolute" and (not style_weight or content_weight is None or variation_weight is None):
        raise BadRecipe(
            "--losses absolute needs --content-weight, --style-weight and --variation-weight, because their scale "
            "depends on the loss network"
        )
    check_output(output)
    options = given(
        content_taps=content_tap,
        style_taps=style_tap,
        loss_networks=loss_network,
        losses=losses,
        content_weight=content_weight,
        variation_weight=variation_weight,
        luma_weight=luma_weight,
    )
    weights = style_weight or [StyleRecipe().style_weight]
    recipes = [StyleRecipe.model_validate({**options, "style_weight": weight}) for weight in weights]
    target = choose_device(device)
    network = load_loss_network(recipes[0].loss_networks, (*recipes[0].content_taps, *recipes[0].style_taps))
    network = network.to(target)
    photo = load_picture(content, size).to(target)
    painting = load_picture(style, style_size or size)
    begin = photo if start == "content" else noise(photo, seed)

    results = []
    for recipe in recipes:
        style_losses = StyleLosses(recipe, network, painting)
        base = output if len(recipes) == 1 else output.with_stem(f"{output.stem}-{recipe.style_weight:g}")

        def preview(iteration: "Iteration", base: Path = base) -> None:
            if preview_every and iteration.number and iteration.number % preview_every == 0:
                save(to_image(iteration.picture), beside(base, iteration.number))

        label = output.name if len(recipes) == 1 else f"style weight {recipe.style_weight:g}"
        started = time.monotonic()
        steps = optimise(begin, style_objective(style_losses, photo), iterations)
        outcome = follow(steps, iterations, label, preview)
        best = outcome.best
        terms = _described(terms_of(best.picture, photo, style_losses))
        reached = f"objective {best.objective:.4g}, iteration {best.number}"
        typer.echo(f"{label}: {reached}; {terms}; {time.monotonic() - started:.0f} s")
        results.append(Tile(best.picture, f"style:content {_ratio(recipe)}\n{terms}\n{reached}"))
        if outcome.is_stopped:
            break

    if len(recipes) == 1:
        save(to_image(results[0].picture), output)
    else:
        tiles = [Tile(photo, "content"), Tile(painting, "style"), *results]
        save(contact_sheet(in_rows(tiles, _COLUMNS), photo.shape[-2]), output)
    say_end(outcome, iterations, output)


def _described(terms: "Terms") -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in terms.items() if name != "objective")


def _ratio(recipe: "StyleRecipe") -> str:
    """Return the ratio of the style weight to the content weight in words, which is β/α in Gatys et al."""
    if not recipe.content_weight:
        return f"{recipe.style_weight:g}:0"
    return f"{recipe.style_weight / recipe.content_weight:g}:1"
