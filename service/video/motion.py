"""The motion between two frames of a film: where each pixel was before, and how far that can be relied on."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from service.video.colours import Pixels

Floats = NDArray[np.float32]
"""Numbers of a frame's pixels, `(H, W)`, `(H, W, 2)` or `(H, W, 3)`."""

_TOLERANCE = (0.01, 0.5)
"""Share of the squared motion, and squared pixels, by which motion there and back may miss its start."""
_UNCHANGED = 20.0
"""Levels of 255 of a change along the motion at which only 1/e of the reliance is left."""
_SEEN_TOGETHER = 5
"""Side in pixels of the squares over which a change is averaged."""
_EDGE = np.ones((3, 3), np.uint8)
"""Pixels beside those that were hidden, on which flow is not relied either."""
_SHADES = (16, 16)
"""Numbers of hues and of brightnesses that a histogram tells apart."""
_CUT = 0.35
"""Share of a frame's pixels whose shades are others than in the frame before, from which on a new shot begins."""


class Motion(NamedTuple):
    """The motion from an earlier frame to a later one."""

    places: Floats
    """Column and row in the earlier frame of each pixel of the later one, `(H, W, 2)`."""
    reliance: Floats
    """How far a pixel shows what the earlier frame shows at its place: from 0, hidden there or changed, to 1."""

    def move(self, pixels: Floats) -> Floats:
        """Return pixels of the earlier frame's moment, moved to where they are in the later frame."""
        # Lanczos: the same pixels are moved again and again, and softer interpolation would blur them.
        return _at(pixels, self.places, cv2.INTER_LANCZOS4)


class MotionEstimator:
    """An estimator of the motion between frames of one size, by dense inverse search (Kroeger et al. 2016).

    Args:
        height: Height of the frames in pixels.
        width: Width of the frames in pixels.
    """

    def __init__(self, height: int, width: int) -> None:
        rows, columns = np.mgrid[:height, :width].astype(np.float32)
        self._grid: Floats = np.dstack([columns, rows])
        self._search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def estimate(self, earlier: Pixels, later: Pixels) -> Motion:
        """Return the motion between two frames of this size, RGB."""
        before, after = (np.asarray(cv2.cvtColor(each, cv2.COLOR_RGB2GRAY), np.uint8) for each in (earlier, later))
        back, forth = self._flow(after, before), self._flow(before, after)
        places = self._grid + back
        was_seen = self._was_seen(back, _at(forth, places), places)
        change = cv2.absdiff(_at(earlier.astype(np.float32), places), later.astype(np.float32))
        change = cv2.blur(cv2.transform(change, np.full((1, 3), 1 / 3)), (_SEEN_TOGETHER, _SEEN_TOGETHER))
        return Motion(places, was_seen * np.exp(-((change / _UNCHANGED) ** 2)))

    def _flow(self, start: NDArray[np.uint8], end: NDArray[np.uint8]) -> Floats:
        """Return how many columns and rows each pixel moves from one grey frame to another."""
        flow = self._search.calc(start, end, None)  # type: ignore[call-overload]
        return np.asarray(flow, np.float32)

    def _was_seen(self, back: Floats, forth: Floats, places: Floats) -> Floats:
        """Return 1 for the pixels that return to where they came from, and less near those that do not."""
        height, width = self._grid.shape[:2]
        missed = _squared_length(back + forth)
        share, pixels = _TOLERANCE
        returns = missed < share * (_squared_length(back) + _squared_length(forth)) + pixels
        inside = (places >= 0).all(2) & (places[..., 0] <= width - 1) & (places[..., 1] <= height - 1)
        seen = cv2.erode((returns & inside).astype(np.float32), _EDGE)
        return np.asarray(cv2.blur(seen, _EDGE.shape), np.float32)


def is_cut(earlier: Pixels, later: Pixels) -> bool:
    """Tell whether a new shot begins between two frames, by the histograms of their shades."""
    before, after = _histogram(earlier), _histogram(later)
    return float(np.abs(before - after).sum()) / 2 > _CUT


def _histogram(frame: Pixels) -> Floats:
    """Return the share of the pixels that each shade has."""
    shades = cv2.calcHist([cv2.cvtColor(frame, cv2.COLOR_RGB2HSV)], [0, 2], None, [*_SHADES], [0, 180, 0, 256])
    return np.asarray(shades / shades.sum(), np.float32)


def _at(pixels: Floats, places: Floats, interpolation: int = cv2.INTER_LINEAR) -> Floats:
    moved = cv2.remap(pixels, places, None, interpolation, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return np.asarray(moved, np.float32)


def _squared_length(vectors: Floats) -> Floats:
    return np.asarray(vectors[..., 0] ** 2 + vectors[..., 1] ** 2, np.float32)
