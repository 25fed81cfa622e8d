"""What models do to photos, in rows of a contact sheet: styles, blends of styles, and nets between two losses."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from model_store.nets import TransformNet
from model_store.nets.interpolation import interpolate
from trainer.evaluation.super_resolution_report import detail
from trainer.evaluation.super_resolution_study import Enlarger
from trainer.pictures.contact_sheet import Tile, in_rows

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of the second net, in rows that go from one net to another."""

_COLUMNS = 6
_log = logging.getLogger(__name__)


class Photo(NamedTuple):
    """A photo to try models on."""

    name: str
    picture: Tensor
    """Float RGB in [0, 1], `(1, 3, H, W)`, on the device of the nets."""


def style_rows(photos: Sequence[Photo], styles: Mapping[str, TransformNet]) -> list[Sequence[Tile]]:
    """Each photo followed by what every style makes of it, in rows of six; nothing if there are no styles."""
    if not styles:
        return []
    rows = []
    for name, picture in photos:
        painted = [Tile(_run(net, picture), style) for style, net in styles.items()]
        rows += in_rows([Tile(picture, name), *painted], _COLUMNS)
    return rows


def before_and_after_rows(
    photos: Sequence[Photo], pairs: Sequence[tuple[str, TransformNet | None, TransformNet]]
) -> list[list[Tile]]:
    """A row for each style: each photo, what the old net makes of it, and what the new one does.

    Args:
        photos: at least one.
        pairs: what to call a style, its old net if it has one, and its new one.
    """
    rows = []
    for name, old, new in pairs:
        row = []
        for photo in photos:
            row.append(Tile(photo.picture, photo.name))
            if old is not None:
                row.append(Tile(_run(old, photo.picture), f"{name}, old"))
            row.append(Tile(_run(new, photo.picture), f"{name}, new"))
        rows.append(row)
    return rows


def blend_rows(photo: Photo, styles: Mapping[str, TransformNet]) -> list[list[Tile]]:
    """A row from each style to the next, and from the last to the first; styles that cannot be blended are logged."""
    rows = []
    for first, second in _neighbours(list(styles)):
        nets = _between(first, second, styles)
        rows.append([Tile(_run(net, photo.picture), _blend(first, second, share)) for share, net in nets])
    return [row for row in rows if row]


def fidelity_rows(
    photos: Sequence[Photo], enlargers: Mapping[str, TransformNet], pairs: Sequence[tuple[str, str]]
) -> list[list[Tile]]:
    """Crops of each photo: the truth, bicubic, and enlarged by nets from one to another.

    Args:
        photos: that are shrunk and enlarged again.
        enlargers: super-resolution nets, by name.
        pairs: of names of nets of one factor, for the pixel loss and for the feature loss; where they cannot be
            interpolated, that is logged.

    Raises:
        BadPhotos: a photo is too small for a factor.
    """
    rows = []
    for pixel, feature in pairs:
        nets = [Enlarger.net(f"feature share {share:g}", net) for share, net in _between(pixel, feature, enlargers)]
        if nets:
            candidates = [Enlarger.bicubic(nets[0].factor), *nets]
            rows += [
                detail(candidates, picture, name, f"{name}, x{nets[0].factor}\n{pixel} to {feature}")
                for name, picture in photos
            ]
    return rows


def _neighbours(names: Sequence[str]) -> list[tuple[str, str]]:
    """Those of a ring; of two names only one pair."""
    return list(pairwise([*names, *names[:1]] if len(names) > 2 else names))


def _between(first: str, second: str, nets: Mapping[str, TransformNet]) -> Iterator[tuple[float, TransformNet]]:
    """Nets from the first to the second with the share of the second; none, and a warning, if they cannot be mixed."""
    for share in SHARES:
        try:
            net = interpolate([nets[first], nets[second]], [1 - share, share])
        except ValueError as error:
            _log.warning("nothing between %s and %s: %s", first, second, error)
            return
        yield share, net


def _blend(first: str, second: str, share: float) -> str:
    """As in `0.75 muse + 0.25 candy`; a whole net by its name."""
    return " + ".join(
        name if part == 1 else f"{part:g} {name}" for part, name in ((1 - share, first), (share, second)) if part
    )


def _run(net: TransformNet, picture: Tensor) -> Tensor:
    with torch.inference_mode():
        result: Tensor = net(picture)
    return result
