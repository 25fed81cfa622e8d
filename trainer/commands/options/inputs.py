"""The options and arguments that name photos, pictures, loss networks and the device."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    import torch

PhotosOption = Annotated[
    list[str],
    typer.Option(help="Folder of photos, tar, or pattern of tars as in shards-{000..041}.tar; repeatable."),
]
DeviceOption = Annotated[
    Literal["auto", "cpu", "cuda"], typer.Option(help="Device to compute on; auto is CUDA where there is one.")
]
LossNetworkOption = Annotated[
    list[str],
    typer.Option(
        help="Loss network: vgg16, vgg19 or LAYOUT:FILE, as in vgg19-normalised:vgg19.safetensors; repeatable."
    ),
]
PictureArgument = Annotated[Path, typer.Argument(exists=True, dir_okay=False)]


def choose_device(choice: str) -> "torch.device":
    """Return the device that an option names; `auto` is CUDA where there is one.

    Raises:
        BadParameter: CUDA was asked for, and there is none.
    """
    import torch

    if choice == "cuda" and not torch.cuda.is_available():
        raise typer.BadParameter("there is no CUDA device here; leave --device out to use the CPU")
    return torch.device("cuda" if choice != "cpu" and torch.cuda.is_available() else "cpu")
