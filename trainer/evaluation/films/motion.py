"""The motion between the frames of a film, by which its paintings are measured.

It is estimated by dense inverse search up to the finest scale, and apart from the code that makes films calm: a measure
that shared the estimate of what it measures would not see that estimate's faults.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""RGB of a frame, `(H, W, 3)`."""
Floats = NDArray[np.float32]
"""Numbers of a frame's pixels, `(H, W, 2)` or `(H, W, 3)`."""
Mask = NDArray[np.bool_]
"""Truths about a frame's pixels, `(H, W)`."""

_TOLERANCE = (0.01, 0.5)
"""Share of the squared motion, and squared pixels, by which motion there and back may miss its start (Sundaram et al.
2010)."""
_SHADES = (16, 16)
"""Numbers of hues and of brightnesses that a histogram tells apart."""
_CUT = 0.35
"""Share of a frame's pixels whose shades are others than in the frame before, from which on a new shot begins."""


class Places(NamedTuple):
    """Where the pixels of one frame are in another one."""

    places: Floats
    """Column and row of each pixel, `(H, W, 2)`."""
    is_seen: Mask
    """Whether the pixel is to be seen there, and not hidden or outside."""

    def move(self, pixels: Pixels | Floats) -> Floats:
        """Return the other frame's pixels, or its painting's, where they are in this one."""
        return _at(pixels.astype(np.float32), self.places, cv2.INTER_CUBIC)


class Motion(NamedTuple):
    """The motion between a frame and the one after it."""

    back: Places
    """Where the later frame's pixels are in the earlier one."""
    forth: Places
    """Where the earlier frame's pixels are in the later one."""


def estimate(earlier: Pixels, later: Pixels) -> Motion:
    """Return the motion between two frames of one size."""
    before, after = (np.asarray(cv2.cvtColor(each, cv2.COLOR_RGB2GRAY), np.uint8) for each in (earlier, later))
    back, forth = _flow(after, before), _flow(before, after)
    grid = grid_of(*before.shape)
    return Motion(_places(grid, back, forth), _places(grid, forth, back))


def grid_of(height: int, width: int) -> Floats:
    """Return the column and the row of each pixel, `(H, W, 2)`."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    return np.dstack([columns, rows])


def is_inside(places: Floats) -> Mask:
    """Tell which places, of the pixels of one frame, are inside of a frame of the same size."""
    height, width = places.shape[:2]
    inside: Mask = (places >= 0).all(2) & (places[..., 0] <= width - 1) & (places[..., 1] <= height - 1)
    return inside


def is_cut(earlier: Pixels, later: Pixels) -> bool:
    """Tell whether a new shot begins between two frames, by the histograms of their shades."""
    before, after = _histogram(earlier), _histogram(later)
    return float(np.abs(before - after).sum()) / 2 > _CUT


def _flow(start: NDArray[np.uint8], end: NDArray[np.uint8]) -> Floats:
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0)
    return np.asarray(search.calc(start, end, None), np.float32)  # type: ignore[call-overload]


def _places(grid: Floats, there: Floats, back_again: Floats) -> Places:
    """Return the places that flow leads to, seen where flow from there leads back."""
    places = grid + there
    returned = _at(back_again, places, cv2.INTER_LINEAR)
    share, pixels = _TOLERANCE
    missed = np.square(there + returned).sum(2)
    allowed = share * (np.square(there).sum(2) + np.square(returned).sum(2)) + pixels
    return Places(places, (missed < allowed) & is_inside(places))


def _at(pixels: Floats, places: Floats, interpolation: int) -> Floats:
    moved = cv2.remap(pixels, places, None, interpolation, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return np.asarray(moved, np.float32)


def _histogram(frame: Pixels) -> Floats:
    shades = cv2.calcHist([cv2.cvtColor(frame, cv2.COLOR_RGB2HSV)], [0, 2], None, [*_SHADES], [0, 180, 0, 256])
    return np.asarray(shades / shades.sum(), np.float32)
