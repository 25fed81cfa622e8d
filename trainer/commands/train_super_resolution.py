"""The command `impasto train super-resolution`, which trains and publishes a net that enlarges."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from model_store.naming import super_resolution_name
from trainer.commands import run as runs
from trainer.commands.options.inputs import DeviceOption, PhotosOption, choose_device
from trainer.commands.options.recipe import with_recipe_options
from trainer.recipes import SUPER_RESOLUTION_RECIPES, SuperResolutionRecipe, changed

if TYPE_CHECKING:
    from trainer.training.start import Start


@with_recipe_options(SuperResolutionRecipe)
def train_super_resolution(
    photos: PhotosOption,
    *,
    name: Annotated[
        str | None,
        typer.Option(
            help="Name of the model in the store; if not given, xFACTOR-pixel, xFACTOR-pixel-blurred (if trained on "
            "blurred photos), xFACTOR-feature or xFACTOR-srcnn."
        ),
    ] = None,
    recipe: Annotated[
        Literal["default", "paper", "srcnn"],
        typer.Option(
            help="Settings to begin with: the best ones, those of the paper, or SRCNN's. Other options change them."
        ),
    ] = "default",
    loss: Annotated[
        Literal["pixel", "feature"],
        typer.Option(
            help="Loss that the recipe minimises; it is best to start feature --from a net of the pixel loss."
        ),
    ] = "pixel",
    start: runs.FromOption = None,
    held_out: runs.HeldOutOption = 16,
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
    """Train a super-resolution net and publish it as super-resolve/NAME."""
    from model_store.settings import StoreSettings
    from trainer.training.drafts import Origin
    from trainer.training.processes import Processes
    from trainer.training.run import Keeping, carry_out, load_shown, publish
    from trainer.training.start import open_start
    from trainer.training.super_resolution_run import open_super_resolution_run

    started = open_start(StoreSettings().open(), "super-resolve", start) if start else None
    chosen = _choose(recipe, loss, started, changes)
    name = name or _name(chosen, loss)
    store, folder = runs.open_run(name, run, resume)
    processes = Processes(choose_device(device))
    keeping = Keeping(folder, load_shown(preview or ()), preview_every, save_every)
    opened = open_super_resolution_run(chosen, photos, held_out, processes, started, stream=stream, compiled=compiled)
    if processes.is_first:
        typer.echo(opened.photos.summary)
    with runs.shown_progress(is_first=processes.is_first) as report:
        net = carry_out(opened.training, opened.batches, keeping, report, resume=resume is not None)
    if not processes.is_first:
        return
    scores = opened.measure(net)
    if scores is not None:
        typer.echo(f"PSNR on held-out tiles: bicubic {scores.bicubic.psnr:.2f} dB, net {scores.net.psnr:.2f} dB")
    draft = opened.draft(scores, Origin(name, title, author, licence, runs.command_line(), opened.training))
    card = publish(draft, net, store, keeping)
    typer.echo(f"published {card.task}/{card.label}")


def _name(recipe: SuperResolutionRecipe, loss: Literal["pixel", "feature"]) -> str:
    """Return the default name of a net; the service looks for nets of the pixel loss by these names."""
    match recipe.architecture, loss, recipe.degradation:
        case "srcnn", _, _:
            return super_resolution_name(recipe.factor, "srcnn")
        case _, "pixel", "blur":
            return super_resolution_name(recipe.factor, "pixel-blurred")
    return super_resolution_name(recipe.factor, loss)


def _choose(named: str, loss: str, started: "Start | None", changes: dict[str, Any]) -> SuperResolutionRecipe:
    from trainer.errors import BadRecipe
    from trainer.training.start import check_architecture

    if (named, loss) not in SUPER_RESOLUTION_RECIPES:
        raise BadRecipe(f"there is no recipe {named} for the {loss} loss: leave --loss out")
    base = SUPER_RESOLUTION_RECIPES[named, loss]
    if started is None:
        return changed(base, changes)
    if named != "default":
        check_architecture(named, base, started)
    return changed(base, {key: value for key, value in started.settings.items() if key != "factor"}, changes)
