"""Calm films: each painting is mixed with the one before it, moved along with what the film shows.

A net paints each frame by itself, and the least noise gives it other strokes, so that walls boil. What is mixed keeps
the strokes where the film keeps showing the same. Mixing blurs; so what it takes from the strength of fine detail is
given back, and the painting stays as sharp as the net painted it.
"""

from typing import NamedTuple

import cv2
import numpy as np

from service.video.colours import Pixels
from service.video.motion import Floats, MotionEstimator, is_cut

_DETAIL = 1.0
"""Standard deviation in pixels of the Gaussian that takes fine detail away."""
_NEIGHBOURHOOD = (25, 25)
"""Width and height in pixels of the windows in which the strength of detail is measured."""
_FAINT = 0.5
"""Squared levels of 255 that are added to the strength of detail, so that nothing is made of none."""
_MOST_GAIN = 1.5
"""Largest factor by which detail is strengthened."""


class _Shown(NamedTuple):
    """One frame of a film, and its painting."""

    frame: Pixels
    painting: Floats

    def of_size(self, width: int, height: int) -> "_Shown":
        """Return both in the size of a painting; that of an earlier run may lack a row or a column."""
        frame, painting = self
        if frame.shape[:2] != (height, width):
            frame = np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        lacking = height - painting.shape[0], width - painting.shape[1]
        if any(lacking):
            painting = np.pad(painting, ((0, lacking[0]), (0, lacking[1]), (0, 0)), mode="edge")
        return _Shown(frame, painting)


class Calm:
    """A mixer of the paintings of one film, which are given in their order.

    Args:
        share: Share that the painting before has where nothing changed, from 0 to 1.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._before: _Shown | None = None
        self._motion: MotionEstimator | None = None

    def go_on_from(self, frame: Pixels, painting: Pixels) -> None:
        """Take a frame and its painting of an earlier run for those before the first ones.

        A film's sides are even numbers, so that the painting may lack a last row or column.
        """
        self._before = _Shown(frame, painting.astype(np.float32))

    def settle(self, frame: Pixels, painting: Pixels) -> Pixels:
        """Return the painting of the next frame, mixed with those before; the first of a shot is returned as it is.

        Args:
            frame: The film's frame, upright RGB.
            painting: Its painting, upright RGB, of any size, which all paintings have.
        """
        height, width, _ = painting.shape
        now = _Shown(frame, painting.astype(np.float32)).of_size(width, height)
        before = None if self._before is None else self._before.of_size(width, height)
        if before is not None and not is_cut(before.frame, now.frame):
            now = now._replace(painting=self._mixed(before, now))
            painting = np.asarray(np.rint(now.painting), np.uint8)
        self._before = now
        return painting

    def _mixed(self, before: _Shown, now: _Shown) -> Floats:
        if self._motion is None:
            self._motion = MotionEstimator(*now.frame.shape[:2])
        motion = self._motion.estimate(before.frame, now.frame)
        moved = motion.move(before.painting)
        mixed = now.painting + self._share * motion.reliance[..., None] * (moved - now.painting)
        return np.clip(_as_sharp_as(now.painting, mixed), 0, 255)


def _as_sharp_as(sharp: Floats, blurred: Floats) -> Floats:
    """Return the second picture with its fine detail as strong as it is in the first one."""
    smooth = cv2.GaussianBlur(blurred, (0, 0), _DETAIL)
    detail = blurred - smooth
    wanted, found = _strength(sharp - cv2.GaussianBlur(sharp, (0, 0), _DETAIL)), _strength(detail)
    gain = np.clip(np.sqrt(wanted / found), 1, _MOST_GAIN)
    return np.asarray(smooth + gain[..., None] * detail, np.float32)


def _strength(detail: Floats) -> Floats:
    """Return the mean square of detail around each pixel."""
    return np.asarray(cv2.blur(cv2.transform(detail**2, np.full((1, 3), 1 / 3)), _NEIGHBOURHOOD) + _FAINT, np.float32)
