"""The command `impasto evaluate gallery`, which draws contact sheets."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model_store.naming import factors_of, super_resolution_name, without_light_nets
from trainer.commands.options.inputs import DeviceOption, choose_device

if TYPE_CHECKING:
    import torch

    from model_store.card import Task
    from model_store.nets import TransformNet
    from model_store.store import Store
    from trainer.evaluation.gallery import Photo

_JPEG_QUALITY = 85


def evaluate_gallery(
    photos: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="Photos to try the models on.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the contact sheets.")],
    *,
    style: Annotated[
        list[str],
        typer.Option(help="Name of a style in the store, as in muse or muse@1; repeatable; all if not given."),
    ] = [],  # noqa: B006  (typer copies it)
    size: Annotated[int, typer.Option(min=32, help="Longest side that photos are shrunk to, in pixels.")] = 512,
    shown: Annotated[int, typer.Option(min=32, help="Height that whole pictures are shown at, in pixels.")] = 256,
    device: DeviceOption = "auto",
) -> None:
    """Draw contact sheets of PHOTOS: in every style, in blends of styles, and enlarged from pixel to feature loss.

    The sheets are styles.jpg, blends.jpg (of the first photo) and fidelity.jpg, each written if the store has the
    models for it.
    """
    from model_store.settings import StoreSettings
    from trainer.evaluation.gallery import blend_rows, fidelity_rows, style_rows
    from trainer.evaluation.reports import prepare
    from trainer.evaluation.super_resolution_report import SHOWN_DETAIL
    from trainer.pictures.contact_sheet import contact_sheet
    from trainer.pictures.picture_files import save

    store, target = StoreSettings().open(), choose_device(device)
    styles = _open(store, "stylize", style or without_light_nets(store.names("stylize")), target)
    pairs = _pairs(store.names("super-resolve"))
    enlargers = _open(store, "super-resolve", [name for pair in pairs for name in pair], target)
    tried = _load(photos, size, max((net.factor for net in enlargers.values()), default=1), target)
    prepare(output)
    sheets = (
        ("styles.jpg", style_rows(tried, styles), shown, "there are no styles in the store"),
        ("blends.jpg", blend_rows(tried[0], styles), shown, "there are no two styles that can be blended"),
        (
            "fidelity.jpg",
            fidelity_rows(tried, enlargers, pairs),
            SHOWN_DETAIL,
            "there are no two nets xN-pixel and xN-feature that can be mixed",
        ),
    )
    for name, rows, height, why_not in sheets:
        if rows:
            save(contact_sheet(rows, height), output / name, quality=_JPEG_QUALITY)
            typer.echo(f"wrote {output / name}")
        else:
            typer.echo(f"no {name}: {why_not}")


def _open(store: "Store", task: "Task", labels: Iterable[str], device: "torch.device") -> "dict[str, TransformNet]":
    from model_store.card import parse_label

    names = [label.removeprefix(f"{task}/") for label in labels]
    return {name: store.open(task, *parse_label(name)).net.to(device) for name in names}


def _pairs(names: list[str]) -> list[tuple[str, str]]:
    """Return the pairs of names `x4-pixel` and `x4-feature` for each factor that has both, sorted by factor."""
    both = sorted(set(factors_of("pixel", names)) & set(factors_of("feature", names)))
    return [(super_resolution_name(factor, "pixel"), super_resolution_name(factor, "feature")) for factor in both]


def _load(paths: list[Path], size: int, factor: int, device: "torch.device") -> "list[Photo]":
    from trainer.data.photos import load_picture
    from trainer.evaluation.gallery import Photo
    from trainer.evaluation.super_resolution_study import check_size

    photos = []
    for path in paths:
        picture = load_picture(path, longest_side=size)
        height, width = picture.shape[-2:]
        check_size((width, height), factor, path.name)
        photos.append(Photo(path.stem, picture.to(device)))
    return photos
