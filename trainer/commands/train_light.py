"""The command `impasto train light`, which trains and publishes the light net of a style."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trainer.commands import run as runs
from trainer.commands.options.inputs import DeviceOption, PhotosOption, choose_device
from trainer.commands.options.recipe import with_recipe_options
from trainer.distillation.recipe import LightRecipe

if TYPE_CHECKING:
    from model_store.nets import TransformNet
    from trainer.distillation.light_run import End, LightRun
    from trainer.training.run import Keeping


@with_recipe_options(LightRecipe)
def train_light(
    full: Annotated[str, typer.Option("--from", help="Style whose light net to train, as in muse or muse@2.")],
    photos: PhotosOption,
    *,
    picture: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Style picture of the full net. With it and a loss network, the last steps learn the full net's own "
            "objective, and the card has its figures.",
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--init", help="Light net to start from, as in muse-light; only light nets that descend so can be blended."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the model in the store; that of the style and -light if not given.")
    ] = None,
    held_out: runs.HeldOutOption = 32,
    preview: runs.PreviewOption = None,
    preview_every: runs.PreviewEveryOption = 500,
    title: runs.TitleOption = None,
    author: runs.AuthorOption = None,
    licence: Annotated[
        str | None, typer.Option(help="Licence of the light net on its card; that of the full net if not given.")
    ] = None,
    run: runs.RunOption = None,
    resume: runs.ResumeOption = None,
    save_every: runs.SaveEveryOption = 60.0,
    device: DeviceOption = "auto",
    changes: dict[str, Any],
) -> None:
    """Train a small, fast net that paints as a style of the store does, and publish it as stylize/STYLE-light.

    The full net paints the photos once; the light net learns these paintings. Requests with light=true are answered by
    it.
    """
    from model_store.card import parse_label
    from model_store.naming import light_label
    from model_store.settings import StoreSettings
    from trainer.data.squares import Crops
    from trainer.distillation.light_run import ending, open_end, open_light_run
    from trainer.recipes import changed
    from trainer.training.drafts import Origin
    from trainer.training.loop import TrainingProgress
    from trainer.training.processes import Processes
    from trainer.training.run import Keeping, carry_out, load_shown, publish
    from trainer.training.start import open_start

    teacher = StoreSettings().open().open("stylize", *parse_label(full.removeprefix("stylize/")))
    called = name or light_label(teacher.card.name)
    store, folder = runs.open_run(called, run, resume)
    started = open_start(store, "stylize", start) if start else None
    recipe = changed(LightRecipe(), started.settings if started else {}, changes)
    if picture is not None:
        ending(recipe, teacher)  # what is missing for the end is said at the beginning
    processes = Processes(choose_device(device))
    keeping = Keeping(folder, load_shown(preview or ()), preview_every, save_every)
    crops = Crops(photos, held_out)
    typer.echo(f"{teacher.card.label} paints the photos")
    with runs.shown_progress(is_first=True, unit="photo") as report:
        begun = time.monotonic()

        def tell(painted: int, of: int) -> None:
            report(TrainingProgress(painted, of, time.monotonic() - begun, {}))

        light = open_light_run(recipe, teacher, crops, processes, folder, started, tell)
    typer.echo(light.photos.summary)
    with runs.shown_progress(is_first=True) as report:
        net: TransformNet = carry_out(light.training, light.batches, keeping, report, resume=resume is not None)
    end = None
    if picture is not None:
        end = open_end(light, net, picture)
        net = _trained_to_the_end(light, end, net, keeping)
    figures = light.measure(net, end)
    if figures is not None:
        typer.echo(f"PSNR to the paintings of {teacher.card.label}: {figures.psnr:.2f} dB")
    if figures is not None and figures.full:
        ours, theirs = figures.light["objective"], figures.full["objective"]
        typer.echo(f"objective: light net {ours:.3f}, {teacher.card.label} {theirs:.3f} ({ours / theirs - 1:+.1%})")
    origin = Origin(called, title, author, licence or teacher.card.licence, runs.command_line(), light.training)
    card = publish(light.draft(figures, end, origin), net, store, keeping)
    typer.echo(f"published {card.task}/{card.label}")


def _trained_to_the_end(light: "LightRun", end: "End", net: "TransformNet", keeping: "Keeping") -> "TransformNet":
    """Train the light net by the full net's objective; the checkpoint lies in a folder in that of the run."""
    from dataclasses import replace

    from trainer.errors import Stopped
    from trainer.training.checkpoint import has_checkpoint
    from trainer.training.run import carry_out

    if not light.recipe.end_steps:
        return net
    folder = keeping.folder / "end"
    folder.mkdir(exist_ok=True)
    typer.echo("the objective of the full net")
    try:
        with runs.shown_progress(is_first=True) as report:
            return carry_out(
                end.training, light.batches, replace(keeping, folder=folder), report, resume=has_checkpoint(folder)
            )
    except Stopped as error:
        raise Stopped(
            f"stopped; the checkpoint is in {keeping.folder}: add --resume {keeping.folder} to go on"
        ) from error
