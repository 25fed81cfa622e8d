"""The command `impasto train style`, which trains and publishes a style net."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from trainer.commands import run as runs
from trainer.commands.options.inputs import DeviceOption, PhotosOption, choose_device
from trainer.commands.options.recipe import as_option, with_recipe_options
from trainer.recipes import STYLE_RECIPES, StyleRecipe, style_recipe

if TYPE_CHECKING:
    from trainer.training.start import Start


@with_recipe_options(StyleRecipe)
def train_style(
    picture: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The style picture.")],
    photos: PhotosOption,
    name: runs.NameOption,
    *,
    recipe: Annotated[
        Literal["default", "fine-tune", "laptop", "paper", "paper-caffe"] | None,
        typer.Option(
            help="Settings to begin with; default: those that look best; fine-tune and laptop: for --from, laptop on a "
            "CPU; paper: those of the paper; paper-caffe: the same for the authors' own VGG-16. If not given, "
            "fine-tune with --from, else default. Other options change single settings.",
            show_default=False,
        ),
    ] = None,
    start: runs.FromOption = None,
    held_out: runs.HeldOutOption = 32,
    preview: runs.PreviewOption = None,
    preview_every: runs.PreviewEveryOption = 500,
    stream: runs.StreamOption = None,
    compiled: runs.CompileOption = None,
    title: runs.TitleOption = None,
    author: runs.AuthorOption = None,
    licence: runs.LicenceOption = "unspecified",
    run: runs.RunOption = None,
    resume: runs.ResumeOption = None,
    save_every: runs.SaveEveryOption = 60.0,
    device: DeviceOption = "auto",
    changes: dict[str, Any],
) -> None:
    """Train a style net on one picture and publish it as stylize/NAME."""
    from trainer.data.squares import Crops
    from trainer.training.drafts import Origin
    from trainer.training.processes import Processes
    from trainer.training.run import Keeping, carry_out, load_shown, publish
    from trainer.training.start import open_start
    from trainer.training.style_run import open_style_run

    store, folder = runs.open_run(name, run, resume)
    started = open_start(store, "stylize", start) if start else None
    chosen = _choose(recipe, started, changes)
    processes = Processes(choose_device(device))
    keeping = Keeping(folder, load_shown(preview or ()), preview_every, save_every)
    crops = Crops(photos, held_out)
    style_run = open_style_run(chosen, picture, crops, processes, started, stream=stream, compiled=compiled)
    if processes.is_first:
        typer.echo(style_run.photos.summary)
    with runs.shown_progress(is_first=processes.is_first) as report:
        net = carry_out(style_run.training, style_run.batches, keeping, report, resume=resume is not None)
    if not processes.is_first:
        return
    measured = style_run.measure(net)
    if measured is not None:
        before, after = measured.photos.style, measured.net.style
        typer.echo(f"relative style error: photos {before:.3f}, stylised {after:.3f}")
    draft = style_run.draft(measured, Origin(name, title, author, licence, runs.command_line(), style_run.training))
    card = publish(draft, net, store, keeping)
    typer.echo(f"published {card.task}/{card.label}")


def _choose(named: str | None, started: "Start | None", changes: dict[str, Any]) -> StyleRecipe:
    from trainer.training.start import check_architecture

    if named and started:
        check_architecture(named, STYLE_RECIPES[named], started)
    return style_recipe(named, started.settings if started else None, changes, as_option)
