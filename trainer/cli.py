"""`impasto train` and `impasto evaluate`."""

import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    import torch

    from model_store.nets import TransformNet
    from model_store.store import Store
    from trainer.training import Objective, Recipe, Training

app = typer.Typer()
train = typer.Typer(no_args_is_help=True, help="Train a net and publish it to the store.")
evaluate = typer.Typer(no_args_is_help=True, help="Measure a net of the store.")
app.add_typer(train, name="train")
app.add_typer(evaluate, name="evaluate")

PhotosOption = Annotated[Path, typer.Option(exists=True, help="A folder or a tar of photos.")]
NameOption = Annotated[str, typer.Option(help="What the model is called in the store.")]
TitleOption = Annotated[str | None, typer.Option(help="For the card; made of the name if not given.")]
AuthorOption = Annotated[str | None, typer.Option(help="For the card; the current user if not given.")]
LicenceOption = Annotated[str, typer.Option(help="For the card: terms of the trained net.")]
HeldOutOption = Annotated[int, typer.Option(min=0, help="Photos kept from training, to measure on.")]
PreviewOption = Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Photo to make a preview of.")]
RunOption = Annotated[Path | None, typer.Option(help="Folder for checkpoints; runs/NAME if not given.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in the run's folder.")]
StepsOption = Annotated[int, typer.Option(min=1)]
BatchOption = Annotated[int, typer.Option(min=1, help="Pictures a step.")]
RateOption = Annotated[float, typer.Option(min=0, help="Adam's, at its peak.")]
SeedOption = Annotated[int, typer.Option()]
DeviceOption = Annotated[Literal["auto", "cpu", "cuda"], typer.Option()]
LossNetworkOption = Annotated[
    list[str], typer.Option(help="vgg16, vgg19 or LAYOUT:FILE, as in vgg19-normalised:vgg19.safetensors; repeatable.")
]
TapOption = Annotated[
    list[str] | None, typer.Option(help="As in relu2_1, relu2_1/2 (at half size) or vgg16:relu2_2; repeatable.")
]
WeightOption = Annotated[float | None, typer.Option(min=0)]


@train.command("style")
def train_style(
    picture: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The style picture.")],
    photos: PhotosOption,
    name: NameOption,
    *,
    loss_network: LossNetworkOption = ["vgg19"],  # noqa: B006  (typer copies it)
    content_tap: TapOption = None,
    style_tap: TapOption = None,
    architecture: Annotated[Literal["style-net", "johnson2016"], typer.Option()] = "style-net",
    width: Annotated[int, typer.Option(min=4, help="Channels of the first layer.")] = 32,
    size: Annotated[int, typer.Option(min=32, help="Side of the photos, in pixels.")] = 256,
    style_size: Annotated[int, typer.Option(min=32, help="Shorter side of the style picture, in pixels.")] = 256,
    losses: Annotated[
        Literal["relative", "absolute"], typer.Option(help="absolute: as published; needs all three weights.")
    ] = "relative",
    content_weight: WeightOption = None,
    style_weight: WeightOption = None,
    variation_weight: WeightOption = None,
    steps: StepsOption = 5600,
    batch: BatchOption = 4,
    learning_rate: RateOption = 1e-3,
    seed: SeedOption = 0,
    held_out: HeldOutOption = 32,
    preview: PreviewOption = None,
    title: TitleOption = None,
    author: AuthorOption = None,
    licence: LicenceOption = "unspecified",
    run: RunOption = None,
    resume: ResumeOption = False,
    device: DeviceOption = "auto",
) -> None:
    """Train a style net on one picture and publish it as stylize/NAME."""
    from trainer.drafts import Origin, style_draft
    from trainer.errors import BadRecipe
    from trainer.evaluation import measure_style
    from trainer.loss_networks import load_loss_network, parse_taps
    from trainer.photos import load_crops, load_picture, sha256_of
    from trainer.previews import PREVIEW_SIDE, style_preview
    from trainer.style_training import StyleObjective, StyleRecipe
    from trainer.training import Schedule

    weights = {"content_weight": content_weight, "style_weight": style_weight, "variation_weight": variation_weight}
    if losses == "absolute" and None in weights.values():
        raise BadRecipe(
            "--losses absolute needs --content-weight, --style-weight and --variation-weight, because their scale "
            "depends on the loss network; the authors used 1, 5 and 1e-6 to 1e-4 with Caffe's VGG-16"
        )
    chosen = {"content_taps": content_tap, "style_taps": style_tap, **weights}
    recipe = StyleRecipe.model_validate(
        {
            "architecture": architecture,
            "width": width,
            "size": size,
            "style_size": style_size,
            "loss_networks": loss_network,
            "losses": losses,
            "schedule": Schedule(steps=steps, batch=batch, learning_rate=learning_rate, seed=seed),
            **{field: value for field, value in chosen.items() if value is not None},
        }
    )
    store, folder, state = _begin(recipe, name, run, device, resume=resume)
    target = state.device
    network = load_loss_network(recipe.loss_networks, (*recipe.content_taps, *recipe.style_taps)).to(target)
    style_picture = load_picture(picture, recipe.style_size)
    shown = load_picture(preview, PREVIEW_SIDE) if preview else None
    crops = load_crops(photos, recipe.size, held_out)
    typer.echo(crops.summary)
    objective = StyleObjective(recipe, network, style_picture, crops.train.to(target), target)
    state.data = {"style picture": sha256_of(picture), "photos": crops.sha256}
    net = _train(state, objective, folder, resume=resume)

    error = None
    if held_out:
        style_taps = parse_taps(recipe.style_taps, recipe.loss_networks)
        error = measure_style(net, crops.held_out, style_picture, network, style_taps)
        typer.echo(f"relative style error: photos {error.before:.3f}, stylised {error.after:.3f}")
    origin = Origin(name, title, author, licence, _command(), state)
    draft = style_draft(recipe, picture, crops, error, origin)
    card = store.publish(draft, net.state_dict(), style_preview(net, shown) if shown is not None else None)
    typer.echo(f"published {card.task}/{card.label}")


@train.command("super-resolution")
def train_super_resolution(
    photos: PhotosOption,
    *,
    factor: Annotated[int, typer.Option(min=2, max=8, help="2, 4 or 8.")] = 4,
    name: Annotated[str | None, typer.Option(help="In the store; xFACTOR-pixel if not given.")] = None,
    architecture: Annotated[
        Literal["super-resolution-net", "johnson2016-super-resolution"], typer.Option()
    ] = "super-resolution-net",
    channels: Annotated[int, typer.Option(min=4)] = 64,
    residual_blocks: Annotated[int, typer.Option(min=1)] = 16,
    tile: Annotated[int, typer.Option(min=32, help="Side of the squares that photos are cut into.")] = 320,
    patch: Annotated[int, typer.Option(min=32, help="Side of the patches trained on, in large pixels.")] = 192,
    steps: StepsOption = 6000,
    batch: BatchOption = 32,
    learning_rate: RateOption = 5e-4,
    seed: SeedOption = 0,
    held_out: HeldOutOption = 16,
    preview: PreviewOption = None,
    title: TitleOption = None,
    author: AuthorOption = None,
    licence: LicenceOption = "unspecified",
    run: RunOption = None,
    resume: ResumeOption = False,
    device: DeviceOption = "auto",
) -> None:
    """Train a super-resolution net with the pixel loss and publish it as super-resolve/NAME."""
    from trainer.drafts import Origin, super_resolution_draft
    from trainer.evaluation import compare_tiles
    from trainer.photos import load_picture, load_tiles
    from trainer.previews import PREVIEW_SIDE, super_resolution_preview
    from trainer.super_resolution_training import SuperResolutionObjective, SuperResolutionRecipe
    from trainer.training import Schedule

    recipe = SuperResolutionRecipe(
        architecture=architecture,
        factor=factor,
        channels=channels,
        residual_blocks=residual_blocks,
        tile=tile,
        patch=patch,
        schedule=Schedule(steps=steps, batch=batch, learning_rate=learning_rate, warm_up=0.02, seed=seed),
    )
    name = name or f"x{recipe.factor}-pixel"
    store, folder, state = _begin(recipe, name, run, device, resume=resume)
    target = state.device
    shown = load_picture(preview, PREVIEW_SIDE) if preview else None
    tiles = load_tiles(photos, recipe.tile, held_out)
    typer.echo(tiles.summary)
    objective = SuperResolutionObjective(recipe, tiles.train.to(target), target)
    state.data = {"photos": tiles.sha256}
    net = _train(state, objective, folder, resume=resume)

    scores = compare_tiles(net, tiles.held_out, target) if held_out else None
    if scores is not None:
        typer.echo(f"PSNR on held-out tiles: bicubic {scores.bicubic.psnr:.2f} dB, net {scores.net.psnr:.2f} dB")
    origin = Origin(name, title, author, licence, _command(), state)
    draft = super_resolution_draft(recipe, tiles, scores, origin)
    card = store.publish(draft, net.state_dict(), super_resolution_preview(net, shown) if shown is not None else None)
    typer.echo(f"published {card.task}/{card.label}")


@evaluate.command("super-resolution")
def evaluate_super_resolution(
    model: Annotated[str, typer.Option(help="Name in the store, as in x4-pixel or x4-pixel@1.")],
    hr: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder of large pictures.")],
    device: DeviceOption = "auto",
) -> None:
    """PSNR and SSIM of a net and of bicubic: Y channel, FACTOR pixels of border cropped, 8-bit bicubic shrinking."""
    from model_store.card import parse_label
    from model_store.settings import StoreSettings
    from trainer.evaluation import compare_folder, mean_comparison

    target = _device(device)
    card, net = StoreSettings().open().open("super-resolve", *parse_label(model.removeprefix("super-resolve/")))
    comparisons = list(compare_folder(net.to(target), hr, target))
    table = Table(box=None, title=escape(f"super-resolve/{card.label}, ×{net.factor}, {hr.name}"), header_style="bold")
    table.add_column("picture")
    for column in ("bicubic dB", "SSIM", f"{card.name} dB", "SSIM"):
        table.add_column(column, justify="right")
    for name, bicubic, ours in (*comparisons, mean_comparison(comparisons)):
        table.add_row(
            escape(name), f"{bicubic.psnr:.2f}", f"{bicubic.ssim:.4f}", f"{ours.psnr:.2f}", f"{ours.ssim:.4f}"
        )
    Console().print(table)


@evaluate.command("style")
def evaluate_style(
    model: Annotated[str, typer.Option(help="Name in the store, as in muse or muse@1.")],
    style_picture: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="What the net was trained on.")],
    photos: PhotosOption,
    loss_network: LossNetworkOption = ["vgg19"],  # noqa: B006  (typer copies it)
    held_out: Annotated[int, typer.Option(min=1, help="How many photos: those that training would hold out.")] = 32,
    device: DeviceOption = "auto",
) -> None:
    """Mean relative style error of photos before and after a net, at the taps and sizes of its card."""
    from model_store.card import parse_label
    from model_store.settings import StoreSettings
    from trainer.evaluation import measure_style
    from trainer.loss_networks import load_loss_network, parse_taps
    from trainer.photos import load_crops, load_picture
    from trainer.style_training import StyleRecipe

    target = _device(device)
    card, net = StoreSettings().open().open("stylize", *parse_label(model.removeprefix("stylize/")))
    as_trained = {field: card.recipe[field] for field in ("size", "style_size", "style_taps") if field in card.recipe}
    recipe = StyleRecipe.model_validate({**as_trained, "loss_networks": loss_network})
    network = load_loss_network(recipe.loss_networks, recipe.style_taps).to(target)
    crops = load_crops(photos, recipe.size).train[:held_out]
    picture = load_picture(style_picture, recipe.style_size)
    style_taps = parse_taps(recipe.style_taps, recipe.loss_networks)
    error = measure_style(net.to(target), crops, picture, network, style_taps)
    typer.echo(f"relative style error on {len(crops)} photos: photos {error.before:.4f}, stylised {error.after:.4f}")


def _device(choice: str) -> "torch.device":
    import torch

    if choice == "cuda" and not torch.cuda.is_available():
        raise typer.BadParameter("there is no CUDA device here; leave --device out to use the CPU")
    return torch.device("cuda" if choice != "cpu" and torch.cuda.is_available() else "cpu")


def _begin(
    recipe: "Recipe", name: str, run: Path | None, device: str, *, resume: bool
) -> "tuple[Store, Path, Training]":
    """Checks all that can be known before photos are loaded; gives the store, the run's folder and its state."""
    from model_store.card import check_name
    from model_store.settings import StoreSettings
    from trainer.training import Training, prepare_folder

    check_name(name)
    folder = run or Path("runs") / name
    prepare_folder(folder, resume=resume)
    store = StoreSettings().open()
    store.check_writable()
    return store, folder, Training(recipe, _device(device))


def _train(state: "Training", objective: "Objective", folder: Path, *, resume: bool) -> "TransformNet":
    """Trains with a progress bar, or off a terminal a line every ten seconds, to a net as the store will keep it."""
    from model_store.store import stored
    from trainer import training

    if resume:
        state.restore(folder)
    console = Console(stderr=True)
    columns = (BarColumn(bar_width=10), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    next_line = 0.0
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=state.schedule.steps, completed=state.step)

        def report(progress: training.Progress) -> None:
            nonlocal next_line
            losses = " ".join(f"{name} {value:.3g}" for name, value in progress.losses.items())
            bar.update(task, completed=progress.step, description=losses)
            if not console.is_terminal and (state.seconds >= next_line or progress.step == state.schedule.steps):
                next_line = state.seconds + 10
                console.print(f"step {progress.step}/{state.schedule.steps}  {losses}")

        net = training.train(state, objective, folder, report)
    net.load_state_dict(stored(net.state_dict()))
    return net


def _command() -> str:
    """What was typed, with the names of files and folders for their paths."""
    return shlex.join(re.sub(r"[^:=]+$", lambda end: _name_of_path(end[0]), word) for word in sys.argv)


def _name_of_path(text: str) -> str:
    return Path(text).name if "/" in text and Path(text).exists() else text
