"""Tiles of a large picture, each computed with a halo, so that the answer is that of the whole picture.

A tile is the part of a picture whose result is kept; the net sees it with the halo around it, as far as the picture
goes. So the net pads the picture at its borders as it does without tiles, and what it pads elsewhere reaches only
results that are cut off. Tiles are written into the answer as uint8: the whole picture never exists as floats.
"""

import math
from collections.abc import Callable

from torch import Tensor

from model_store.nets import TransformNet
from model_store.nets.transform_net import TILE_BYTES
from service.inference.cpu.bands import split
from service.inference.pieces import pause

_SMALLEST_TILE = 64
"""Smallest side in pixels of a tile without its halo, however much memory a net needs."""


def tile_side(net: TransformNet) -> int | None:
    """Return the largest side in pixels of a tile with its halo, or None if the net needs the whole picture."""
    if net.halo is None:
        return None
    return max(math.isqrt(TILE_BYTES // net.bytes_per_pixel), _SMALLEST_TILE + 2 * net.halo)


def is_tiled(net: TransformNet, height: int, width: int) -> bool:
    """Tell whether a picture of this size, in pixels, is computed in more than one tile."""
    side = tile_side(net)
    return side is not None and max(height, width) > side


def enlarge(net: TransformNet, picture: Tensor, most: int, compute: Callable[[Tensor], Tensor]) -> Tensor:
    """Compute a picture tile by tile, and pause before each tile.

    Args:
        net: Net that has a halo.
        picture: Picture as uint8 RGB, `(H, W, 3)`.
        most: Largest side in pixels of a tile with its halo, more than two halos.
        compute: Function that runs the net on a part of the picture, `(h, w, 3)`, and returns
            `(h·factor, w·factor, 3)`.

    Returns:
        The result as uint8 RGB, `(H·factor, W·factor, 3)`.

    Raises:
        Exception: A tile could not be computed, or the picture is no longer wanted.
    """
    halo = net.halo or 0
    height, width, channels = picture.shape
    rows, columns = (split(side, math.ceil(side / (most - 2 * halo))) for side in (height, width))
    result = picture.new_empty(height * net.factor, width * net.factor, channels)
    for number, (row, column) in enumerate((row, column) for row in rows for column in columns):
        pause(number / (len(rows) * len(columns)))
        seen = tuple(slice(max(0, part.start - halo), part.stop + halo) for part in (row, column))
        made = compute(picture[seen])
        kept = tuple(
            _enlarged(part, net.factor, around.start) for part, around in zip((row, column), seen, strict=True)
        )
        result[_enlarged(row, net.factor), _enlarged(column, net.factor)] = made[kept]
    return result


def _enlarged(part: slice, factor: int, start: int = 0) -> slice:
    """Return the slice of the result that belongs to a slice of what the net sees, which begins at `start`."""
    return slice((part.start - start) * factor, (part.stop - start) * factor)
