"""The commands `impasto reconstruct content` and `impasto reconstruct style`, which show what layers keep."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trainer.commands.options.inputs import DeviceOption, LossNetworkOption, PictureArgument

if TYPE_CHECKING:
    from torch import Tensor

    from trainer.baselines.reconstruction import Objective
    from trainer.objectives.loss_networks import LossNetwork

_COLUMNS = 4

OutputOption = Annotated[
    Path, typer.Option("--output", "-o", help="File to write the picture, or the contact sheet of several, to.")
]
IterationsOption = Annotated[int, typer.Option(min=0, help="Number of iterations of L-BFGS.")]
SizeOption = Annotated[int, typer.Option(min=32, help="Shorter side of the picture, in pixels.")]
VariationWeightOption = Annotated[
    float, typer.Option(min=0, help="Weight of total variation; that of the relative error is 1.")
]
SeedOption = Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of the noise to start from.")]


def reconstruct_content(
    picture: PictureArgument,
    output: OutputOption,
    tap: Annotated[
        list[str], typer.Option(help="Layer, as in relu2_1 or vgg16:relu2_2; repeatable; several make a contact sheet.")
    ],
    *,
    loss_network: LossNetworkOption = ["vgg19"],  # noqa: B006  (typer copies it)
    iterations: IterationsOption = 500,
    size: SizeOption = 256,
    variation_weight: VariationWeightOption = 0.1,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
) -> None:
    """Find a picture whose features at a layer are those of PICTURE, which shows what the layer keeps (figure 3)."""
    from trainer.baselines.reconstruction import content_error
    from trainer.objectives.loss_networks import parse_taps
    from trainer.pictures.picture_files import check_output

    check_output(output)
    taps = dict(zip(tap, parse_taps(tap, loss_network), strict=True))
    network, original = _load(loss_network, tap, picture, size, device)
    errors = {text: content_error(network, original, place) for text, place in taps.items()}
    _reconstruct(original, errors, output, iterations, variation_weight, seed)


def reconstruct_style(
    picture: PictureArgument,
    output: OutputOption,
    taps: Annotated[
        list[str],
        typer.Option(
            help="Layers, as in relu1_1,relu2_1 or relu1_1,relu2_1=0.5; repeatable; several make a contact sheet."
        ),
    ],
    *,
    loss_network: LossNetworkOption = ["vgg19"],  # noqa: B006  (typer copies it)
    iterations: IterationsOption = 500,
    size: SizeOption = 256,
    variation_weight: VariationWeightOption = 0.1,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
) -> None:
    """Find a picture whose Gram matrices at some layers are those of PICTURE, which shows its style (figure 4)."""
    from trainer.baselines.reconstruction import style_error
    from trainer.objectives.loss_networks import weigh_taps
    from trainer.pictures.picture_files import check_output

    check_output(output)
    sets = {text: weigh_taps(text.split(","), loss_network) for text in taps}
    names = [str(tap) for weighed in sets.values() for tap in weighed]
    network, original = _load(loss_network, names, picture, size, device)
    errors = {text: style_error(network, original, weighed) for text, weighed in sets.items()}
    _reconstruct(original, errors, output, iterations, variation_weight, seed)


def _load(
    sources: list[str], taps: Iterable[str], picture: Path, size: int, device: str
) -> "tuple[LossNetwork, Tensor]":
    from trainer.commands.options.inputs import choose_device
    from trainer.data.photos import load_picture
    from trainer.objectives.loss_networks import load_loss_network

    target = choose_device(device)
    return load_loss_network(sources, taps).to(target), load_picture(picture, size).to(target)


def _reconstruct(
    original: "Tensor",
    errors: "Mapping[str, Objective]",
    output: Path,
    iterations: int,
    variation_weight: float,
    seed: int,
) -> None:
    """Find one picture for each error, keyed by its label, and write it by itself, or several on a contact sheet."""
    import torch

    from trainer.baselines.gatys import noise, optimise
    from trainer.baselines.reconstruction import smoothed
    from trainer.commands.progress.iterations import follow, say_end
    from trainer.pictures.contact_sheet import Tile, contact_sheet, in_rows, to_image
    from trainer.pictures.picture_files import save

    tiles = []
    for label, error in errors.items():
        steps = optimise(noise(original, seed), smoothed(error, variation_weight), iterations)
        outcome = follow(steps, iterations, label)
        best = outcome.best
        with torch.no_grad():
            reached = f"relative error {float(error(best.picture)):.3g}, iteration {best.number}"
        typer.echo(f"{label}: {reached}")
        tiles.append(Tile(best.picture, f"{label.replace(',', ', ')}\n{reached}"))
        if outcome.is_stopped:
            break
    if len(errors) == 1:
        save(to_image(tiles[0].picture), output)
    else:
        save(contact_sheet(in_rows([Tile(original, "original"), *tiles], _COLUMNS)), output)
    say_end(outcome, iterations, output)
