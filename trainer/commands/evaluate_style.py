"""The command `impasto evaluate style`, which compares a style net with the optimisation of pictures."""

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from trainer.commands.options.inputs import DeviceOption, PhotosOption, choose_device
from trainer.commands.options.objective import (
    ContentTapsOption,
    ContentWeightOption,
    LossesOption,
    LossNetworksOption,
    LumaWeightOption,
    StyleTapsOption,
    StyleWeightOption,
    VariationWeightOption,
    given,
)
from trainer.commands.run import command_line

if TYPE_CHECKING:
    import torch

    from trainer.recipes import StyleRecipe


def evaluate_style(
    model: Annotated[str, typer.Option(help="Name of the net in the store, as in muse or muse@1.")],
    style_picture: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="Style picture that the net was trained on.")
    ],
    photos: PhotosOption,
    *,
    size: Annotated[list[int], typer.Option(min=32, help="Side of the photos, in pixels; repeatable.")] = [256],  # noqa: B006  (typer copies it)
    held_out: Annotated[
        int,
        typer.Option(min=1, help="Number of photos to run the net on: the first ones, which training would hold out."),
    ] = 32,
    gatys_photos: Annotated[
        int, typer.Option(min=1, help="Number of these photos for which pictures are optimised as Gatys et al. do.")
    ] = 4,
    iterations: Annotated[int, typer.Option(min=1, help="Number of iterations of each optimisation.")] = 100,
    style_size: Annotated[
        int | None,
        typer.Option(min=32, help="Shorter side of the style picture, in pixels; that of the card if not given."),
    ] = None,
    content_weight: ContentWeightOption = None,
    style_weight: StyleWeightOption = None,
    variation_weight: VariationWeightOption = None,
    luma_weight: LumaWeightOption = None,
    content_tap: ContentTapsOption = None,
    style_tap: StyleTapsOption = None,
    loss_network: LossNetworksOption = None,
    losses: LossesOption = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**63 - 1, help="Seed of the noise that optimisation starts from.")
    ] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document, with the errors of each picture at the deep taps.")
    ] = False,
    device: DeviceOption = "auto",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the report; evaluation/NAME if not given.")
    ] = None,
) -> None:
    """Compare a style net with the optimisation of each picture (Gatys et al. 2016): objective, terms and speed.

    The objective is that of the net's card; options replace parts of it. If a VGG-16 is among the loss networks, the
    errors at the paper's own taps of it are measured, too, even if no tap of the objective is on it.
    """
    from model_store.card import parse_label
    from model_store.settings import StoreSettings
    from trainer.commands.progress.iterations import shown
    from trainer.data.photos import load_picture
    from trainer.evaluation.card_objective import objective_of
    from trainer.evaluation.reports import EvaluationReport, prepare
    from trainer.evaluation.style_report import draw, measurements, scores, tables, write_curves
    from trainer.evaluation.style_study import study
    from trainer.evaluation.tap_errors import load_deep_measure
    from trainer.objectives.loss_networks import load_loss_network

    card, net = StoreSettings().open().open("stylize", *parse_label(model.removeprefix("stylize/")))
    options = given(
        style_size=style_size,
        loss_networks=loss_network,
        content_taps=content_tap,
        style_taps=style_tap,
        losses=losses,
        content_weight=content_weight,
        style_weight=style_weight,
        variation_weight=variation_weight,
        luma_weight=luma_weight,
    )
    recipe = objective_of(card.recipe, options)
    folder = output or Path("evaluation", card.name)
    prepare(folder)
    target = choose_device(device)
    picture = load_picture(style_picture, recipe.style_size)
    deep = load_deep_measure(recipe.loss_networks, picture, target)
    recipe = recipe.model_copy(update={"loss_networks": _tapped(recipe, has_deep=deep is not None)})
    network = load_loss_network(recipe.loss_networks, (*recipe.content_taps, *recipe.style_taps)).to(target)
    studies = [
        study(
            net.to(target),
            recipe,
            network,
            picture,
            _first(photos, side, held_out),
            optimised=gatys_photos,
            iterations=iterations,
            seed=seed,
            deep=deep,
            watch=lambda label, steps: shown(steps, iterations, label),
        )
        for side in dict.fromkeys(size)
    ]
    figures = measurements(studies, ", ".join(Path(source).name for source in photos), command_line())
    report = EvaluationReport(
        f"stylize/{card.label} against optimising each picture",
        shlex.join(["impasto", *sys.argv[1:]]),
        target,
        tables(studies),
        draw(studies, folder),
        _notes(recipe, len(studies[0].pictures), held_out),
        {"measurements": [each.model_dump() for each in figures], "scores": scores(studies)},
    )
    report.write(folder)
    write_curves(studies, folder)
    if as_json:
        typer.echo(json.dumps(report.figures(), indent=2, ensure_ascii=False))
        return
    console = Console()
    for table in report.tables:
        console.print(table.rich())
    typer.echo(f"wrote {folder / 'report.md'}")


def _tapped(recipe: "StyleRecipe", *, has_deep: bool) -> tuple[str, ...]:
    """Return the loss networks that the objective has taps on, and so no VGG-16 that only serves the deep errors."""
    from trainer.evaluation.tap_errors import DEEP_LAYOUTS
    from trainer.objectives.loss_networks import parse_taps

    taps = [parse_taps(each, recipe.loss_networks) for each in (recipe.content_taps, recipe.style_taps)]
    tapped = {tap.network for each in taps for tap in each}
    layouts = ((source, source.partition(":")[0]) for source in recipe.loss_networks)
    return tuple(source for source, layout in layouts if layout in tapped or not (has_deep and layout in DEEP_LAYOUTS))


def _first(photos: list[str], size: int, count: int) -> "torch.Tensor":
    """Return the crops of the first photos, uint8 RGB, `(N, 3, S, S)`, N at most `count`."""
    import torch

    from trainer.data.squares import load_crops

    squares = load_crops(photos, size).train
    return torch.stack([squares[number] for number in range(min(count, len(squares)))])


def _notes(recipe: "StyleRecipe", optimised: int, held_out: int) -> list[str]:
    return [
        f"The objective: {recipe.losses} losses; content {recipe.content_weight:g} × "
        f"({', '.join(recipe.content_taps)}), style {recipe.style_weight:g} × ({', '.join(recipe.style_taps)}), total "
        f"variation {recipe.variation_weight:g}, light and dark {recipe.luma_weight:g}; the style picture at "
        f"{recipe.style_size} pixels.",
        f"The photos, the net and the style error are means over at most {held_out} photos. Pictures of {optimised} of "
        "them were optimised; of these are the objective, the iteration that the net equals, and the curves. Gatys' "
        "picture is the best up to the last iteration.",
        "The steps of L-BFGS are scaled and limited; it falls faster than plain L-BFGS, so the net equals fewer of its "
        "iterations.",
        "The net was timed as the median of repeated runs on one photo after warm-up, with synchronisation. The "
        "seconds of Gatys are those of one iteration, its median measured in this same run, times the number of "
        "iterations.",
    ]
