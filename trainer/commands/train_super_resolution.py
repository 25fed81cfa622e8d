"""`impasto train super-resolution`."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from model_store.naming import super_resolution_name
from trainer.commands import run as runs
from trainer.commands.options import DeviceOption, PhotosOption, choose_device
from trainer.commands.recipe_options import changed, with_recipe_options
from trainer.recipes import SUPER_RESOLUTION_RECIPES, SuperResolutionRecipe

if TYPE_CHECKING:
    from trainer.training.start import Start


@with_recipe_options(SuperResolutionRecipe)
def train_super_resolution(
    photos: PhotosOption,
    *,
    name: Annotated[
        str | None,
        typer.Option(
            help="In the store; if not given, xFACTOR-pixel (if trained on blurred photos, xFACTOR-pixel-blurred), "
            "-feature or -srcnn."
        ),
    ] = None,
    recipe: Annotated[
        Literal["default", "paper", "srcnn"],
        typer.Option(help="Settings to begin with: ours, the published ones, or SRCNN's. Other options change them."),
    ] = "default",
    loss: Annotated[
        Literal["pixel", "feature"],
        typer.Option(help="What the recipe minimises; feature is best started --from a net of the pixel loss."),
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
    """Train a net that enlarges and publish it as super-resolve/NAME."""
    from model_store.settings import StoreSettings
    from trainer.data.degradation import PAPER_SIGMA
    from trainer.data.squares import load_tiles
    from trainer.evaluation.super_resolution_study import compare_tiles
    from trainer.objectives.loss_networks import check_side, fingerprints, load_loss_network
    from trainer.objectives.super_resolution_objective import SuperResolutionObjective, patches
    from trainer.training.drafts import Origin, super_resolution_draft
    from trainer.training.processes import Processes
    from trainer.training.start import open_start, weights_for
    from trainer.training.training import Training

    started = open_start(StoreSettings().open(), "super-resolve", start) if start else None
    chosen = _choose(recipe, loss, started, changes)
    name = name or _name(chosen, loss)
    store, folder = runs.open_run(name, run, resume)
    weights = weights_for(chosen, started) if started else None
    processes = Processes(choose_device(device))
    processes.check_batch(chosen.batch)
    network = (
        load_loss_network(chosen.loss_networks, chosen.feature_taps).to(processes.device)
        if chosen.sees_features
        else None
    )
    if network is not None:
        check_side(network.taps, chosen.patch)
    objective = SuperResolutionObjective(chosen, network)
    shown = runs.load_shown(preview)
    tiles = load_tiles(photos, chosen.tile, held_out)
    batches = runs.load_batches(tiles, patches(chosen, tiles.train), chosen, processes, stream=stream)
    training = Training(chosen, objective, processes, weights, compiled=compiled)
    training.data = {"photos": tiles.train.sha256}
    if network is not None:
        training.data["loss networks"] = fingerprints(chosen.loss_networks)
    if started:
        training.data["from"] = started.fingerprint
    net = runs.carry_out(
        training, batches, folder, shown, resume=resume is not None, preview_every=preview_every, save_every=save_every
    )
    if not processes.is_first:
        return

    sigma = 0.0 if chosen.degradation == "bicubic" else PAPER_SIGMA
    scores = compare_tiles(net, tiles.held_out, processes.device, sigma) if held_out else None
    if scores is not None:
        typer.echo(f"PSNR on held-out tiles: bicubic {scores.bicubic.psnr:.2f} dB, net {scores.net.psnr:.2f} dB")
    origin = Origin(name, title, author, licence, runs.command_line(), training)
    draft = super_resolution_draft(chosen, tiles, scores, origin)
    runs.publish(draft, net, shown, store, folder)


def _name(recipe: SuperResolutionRecipe, loss: Literal["pixel", "feature"]) -> str:
    """What the net is called if nothing else is said; the service looks for nets of the pixel loss by these names."""
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
