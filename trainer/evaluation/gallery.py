"""Rows of a contact sheet that show what models make of photos: styles, their blends, and nets between two losses."""

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
"""Shares of the second net in a row that goes from one net to another."""

_COLUMNS = 6
_log = logging.getLogger(__name__)


class Photo(NamedTuple):
    """A photo to try models on."""

    name: str
    picture: Tensor
    """Float RGB in [0, 1], `(1, 3, H, W)`, on the device of the nets."""


def style_rows(photos: Sequence[Photo], styles: Mapping[str, TransformNet]) -> list[Sequence[Tile]]:
    """Return rows of six pictures: each photo and what every style makes of it; no rows if there are no styles."""
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
    """Return a row for each style: each photo, and what the old net and the new net make of it.

    Args:
        photos: At least one photo.
        pairs: Name, old net if there is one, and new net of each style.
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
    """Return a row of blends from each style to the next, and from the last to the first.

    A warning is logged for styles that cannot be blended.
    """
    rows = []
    for first, second in _neighbours(list(styles)):
        nets = _between(first, second, styles)
        rows.append([Tile(_run(net, photo.picture), _blend(first, second, share)) for share, net in nets])
    return [row for row in rows if row]


def fidelity_rows(
    photos: Sequence[Photo], enlargers: Mapping[str, TransformNet], pairs: Sequence[tuple[str, str]]
) -> list[list[Tile]]:
    """Return a row for each pair and photo: crops of the photo, of its bicubic enlargement, and of those by mixed nets.

    Args:
        photos: Photos that are shrunk and enlarged again.
        enlargers: Super-resolution nets, keyed by name.
        pairs: Names of two nets of one factor, the first for the pixel loss and the second for the feature loss; a
            warning is logged where they cannot be mixed.

    Raises:
        BadPhotos: A photo is too small for a factor.
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
    """Return the pairs of neighbours in a ring of names; two names are a single pair."""
    return list(pairwise([*names, *names[:1]] if len(names) > 2 else names))


def _between(first: str, second: str, nets: Mapping[str, TransformNet]) -> Iterator[tuple[float, TransformNet]]:
    """Yield nets from the first to the second, each with its share of the second.

    If the nets cannot be mixed, a warning is logged and nothing yielded.
    """
    for share in SHARES:
        try:
            net = interpolate([nets[first], nets[second]], [1 - share, share])
        except ValueError as error:
            _log.warning("nothing between %s and %s: %s", first, second, error)
            return
        yield share, net


def _blend(first: str, second: str, share: float) -> str:
    """Return the caption of a blend, as in `0.75 muse + 0.25 candy`; that of a whole net is its name."""
    return " + ".join(
        name if part == 1 else f"{part:g} {name}" for part, name in ((1 - share, first), (share, second)) if part
    )


def _run(net: TransformNet, picture: Tensor) -> Tensor:
    with torch.inference_mode():
        result: Tensor = net(picture)
    return result
