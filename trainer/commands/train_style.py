"""`impasto train style`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from trainer.commands import run as runs
from trainer.commands.options import DeviceOption, PhotosOption, choose_device
from trainer.commands.recipe_options import changed, with_recipe_options
from trainer.recipes import STYLE_RECIPES, StyleRecipe

if TYPE_CHECKING:
    from trainer.training.start import Start

_WEIGHTS = {"content_weight", "style_weight", "variation_weight"}


@with_recipe_options(StyleRecipe)
def train_style(
    picture: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The style picture.")],
    photos: PhotosOption,
    name: runs.NameOption,
    *,
    recipe: Annotated[
        Literal["default", "fine-tune", "laptop", "paper", "paper-caffe"] | None,
        typer.Option(
            help="Settings to begin with: those that look best, two for --from (laptop: on a CPU), and the published "
            "ones (caffe: for the authors' own VGG-16); default, or with --from fine-tune, if not given. Other options "
            "change single settings.",
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
    from trainer.data.photos import load_picture, sha256_of
    from trainer.data.squares import load_crops
    from trainer.evaluation.style_study import measure_style
    from trainer.objectives.loss_networks import check_side, fingerprints, load_loss_network, parse_taps
    from trainer.objectives.style_objective import StyleLosses, StyleObjective, parts
    from trainer.training.drafts import Origin, style_draft
    from trainer.training.processes import Processes
    from trainer.training.start import open_start, weights_for
    from trainer.training.training import Training

    store, folder = runs.open_run(name, run, resume)
    started = open_start(store, "stylize", start) if start else None
    chosen = _choose(recipe, started, changes)
    weights = weights_for(chosen, started) if started else None
    processes = Processes(choose_device(device))
    processes.check_batch(chosen.batch)
    taps = (*chosen.content_taps, *chosen.style_taps)
    network = load_loss_network(chosen.loss_networks, taps).to(processes.device)
    check_side(network.taps, min(chosen.size, chosen.style_size))
    style_picture = load_picture(picture, chosen.style_size)
    shown = runs.load_shown(preview)
    squares = load_crops(photos, chosen.largest_size, held_out)
    batches = runs.load_batches(squares, parts(chosen, squares.train), chosen, processes, stream=stream)
    objective = StyleObjective(StyleLosses(chosen, network, style_picture))
    training = Training(chosen, objective, processes, weights, compiled=compiled)
    training.data = {
        "style picture": sha256_of(picture),
        "photos": squares.train.sha256,
        "loss networks": fingerprints(chosen.loss_networks),
    }
    if started:
        training.data["from"] = started.fingerprint
    net = runs.carry_out(
        training, batches, folder, shown, resume=resume is not None, preview_every=preview_every, save_every=save_every
    )
    if not processes.is_first:
        return

    error = None
    if held_out:
        style_taps = parse_taps(chosen.style_taps, chosen.loss_networks)
        error = measure_style(net, squares.held_out, style_picture, network, style_taps)
        typer.echo(f"relative style error: photos {error.before:.3f}, stylised {error.after:.3f}")
    origin = Origin(name, title, author, licence, runs.command_line(), training)
    draft = style_draft(chosen, picture, squares, error, origin)
    runs.publish(draft, net, shown, store, folder)


def _choose(named: str | None, started: "Start | None", changes: dict[str, Any]) -> StyleRecipe:
    from trainer.errors import BadRecipe
    from trainer.training.start import check_architecture

    base = STYLE_RECIPES[named or ("fine-tune" if started else "default")]
    if named and started:
        check_architecture(named, base, started)
    if changes.get("losses", base.losses) != base.losses and not changes.keys() >= _WEIGHTS:
        raise BadRecipe(
            "other --losses need --content-weight, --style-weight and --variation-weight too, because their scale is "
            "another: absolute ones depend on the loss network (see --recipe paper)"
        )
    return changed(base, started.settings if started else {}, changes)
