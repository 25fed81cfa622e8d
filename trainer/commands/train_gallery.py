"""The command `impasto train gallery`, which trains many styles."""

from pathlib import Path
from typing import Annotated

import typer

from trainer.commands import run as runs
from trainer.commands.options.inputs import DeviceOption, PhotosOption, choose_device


def train_gallery(
    file: Annotated[
        str,
        typer.Argument(help="TOML file of the gallery, or the name of one that comes with the project, as in bundled."),
    ],
    photos: PhotosOption,
    *,
    pictures: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="Folder of the style pictures; that of FILE if not given."),
    ] = None,
    style: Annotated[list[str], typer.Option(help="Name of a style in FILE; repeatable; all if not given.")] = [],  # noqa: B006  (typer copies it)
    loss_network: Annotated[
        list[str],
        typer.Option(
            help="LAYOUT:WEIGHTS for a layout that FILE names, as in vgg16-caffe:vgg16.safetensors; repeatable."
        ),
    ] = [],  # noqa: B006
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            help="Minutes for all styles together; each gets as many of its steps as fit in its share of them.",
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Number of styles that are trained side by side, on a CPU.")] = 1,
    held_out: runs.HeldOutOption = 32,
    gatys_photos: Annotated[
        int,
        typer.Option(
            min=0, help="Number of photos held out for which pictures are also optimised, to compare with on the cards."
        ),
    ] = 0,
    preview: runs.PreviewOption = None,
    preview_every: runs.PreviewEveryOption = 500,
    stream: runs.StreamOption = None,
    compiled: runs.CompileOption = None,
    run: Annotated[
        Path | None,
        typer.Option(help="Folder that holds the run of each style; runs/ and the name of FILE if not given."),
    ] = None,
    save_every: runs.SaveEveryOption = 60.0,
    device: DeviceOption = "auto",
) -> None:
    """Train all styles of a TOML file, publish them, and draw them beside the nets that they replace.

    The file has a table for each style, with its picture, the net that it starts `from`, and the settings that differ
    from those of the recipe; a table named defaults has the settings that all styles share. If it was stopped, the same
    command goes on where it was.

    A loss network may be made smaller to carry it to another machine: a file that ends at the deepest tap, in float16,
    is enough. VGG-16 to conv4_3 takes 15 MB then:

        from safetensors.torch import load_file, save_file
        weights = load_file("vgg16.safetensors")
        kept = {key: value.half() for key, value in weights.items() if int(key.split(".")[1]) <= 21}
        save_file(kept, "vgg16-conv4_3.safetensors")
    """
    from model_store.settings import StoreSettings
    from trainer.commands.progress.gallery_progress import GalleryProgress
    from trainer.errors import Stopped, Unfinished
    from trainer.galleries.gallery import draw_sheet
    from trainer.galleries.gallery import train_gallery as train
    from trainer.galleries.gallery_file import choose, find_gallery, read_gallery
    from trainer.galleries.workshop import Workshop
    from trainer.training.checkpoint import prepare_folder

    path = find_gallery(file)
    styles = choose(read_gallery(path, pictures or path.parent, loss_network), style)
    workshop = Workshop(
        photos=photos,
        held_out=held_out,
        store=StoreSettings().open(),
        folder=run or Path("runs", path.stem),
        device=choose_device(device),
        command=runs.command_line(),
        previews=preview or (),
        gatys_photos=gatys_photos,
        preview_every=preview_every,
        save_every=save_every,
        stream=stream,
        compiled=compiled,
    )
    workshop.store.check_writable()
    prepare_folder(workshop.folder, resume=False)
    try:
        with GalleryProgress([each.name for each in styles]) as progress:
            train(styles, workshop, progress.show, jobs=jobs, minutes=minutes)
    except Stopped as error:
        raise Stopped(f"stopped; the same command goes on with what is in {workshop.folder}") from error
    sheet = draw_sheet(styles, workshop)
    if sheet is not None:
        typer.echo(f"wrote {sheet}")
    if progress.failures:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in progress.failures.items())
        raise Unfinished(f"{len(progress.failures)} of {len(styles)} styles failed: {reasons}")
