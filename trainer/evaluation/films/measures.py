"""The measures of a painted film: warping error, flicker and sharpness, for each shot."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np

from trainer.evaluation.films.motion import Floats, Mask, Motion, Pixels

SOURCE = "source"
"""Key of the film that was painted, beside those of its paintings."""


class Moment(NamedTuple):
    """A frame of a film, with its paintings."""

    frames: dict[str, Pixels]
    """The film's own frame, under `SOURCE`, and its paintings under their names; all have one size."""
    motion: Motion | None
    """Motion from the frame before; None in the first frame of a shot."""


class Figures(NamedTuple):
    """The measures of one film, all in levels of 255."""

    warping_error: float
    """Mean absolute difference between a frame and the one before it, moved along the source's motion, over the pixels
    that both show; NaN for a single frame."""
    flicker: float
    """Mean absolute difference between a frame and the mean of the ones before and after it, moved likewise, beyond
    that of the source itself; NaN for less than three frames."""
    sharpness: float
    """Variance of the Laplacian of the brightness."""


@dataclass
class Shot:
    """The measures of a shot, and those of several shots together.

    Attributes:
        first: Number of the shot's first frame, from 0.
        frames: Number of its frames.
    """

    first: int
    frames: int = 0
    _values: dict[str, tuple[list[float], list[float], list[float]]] = field(default_factory=dict)

    def figures(self, film: str) -> Figures:
        """Return the measures of a film, which `Moment.frames` names."""
        return Figures(*(float(np.mean(values)) if values else float("nan") for values in self._values[film]))

    def put(self, film: str, warping_error: float | None, flicker: float | None, sharpness: float) -> None:
        """Add the measures of a frame, as far as it has them."""
        kept = self._values.setdefault(film, ([], [], []))
        for values, value in zip(kept, (warping_error, flicker, sharpness), strict=True):
            if value is not None:
                values.append(value)

    @classmethod
    def of_all(cls, shots: "list[Shot]") -> "Shot":
        """Return the measures of all frames of several shots."""
        whole = cls(shots[0].first)
        for shot in shots:
            whole.frames += shot.frames
            for film, values in shot._values.items():
                kept = whole._values.setdefault(film, ([], [], []))
                for known, added in zip(kept, values, strict=True):
                    known.extend(added)
        return whole


def measure(moments: Iterable[Moment]) -> list[Shot]:
    """Return the measures of each shot of a film and its paintings; a few frames are in memory at once.

    Args:
        moments: Frames of the film with their paintings, in their order.
    """
    shots: list[Shot] = []
    last: Moment | None = None
    before_last: Moment | None = None
    for number, moment in enumerate(moments):
        if moment.motion is None or last is None:
            shots.append(Shot(number))
            last = before_last = None
        shot = shots[-1]
        shot.frames += 1
        flickers = {} if before_last is None or last is None else _flickers(before_last, last, moment)
        for film, frame in moment.frames.items():
            error = None if last is None or moment.motion is None else _error(film, last, moment, moment.motion)
            shot.put(film, error, flickers.get(film), sharpness_of(frame))
        before_last, last = last, moment
    return shots


def sharpness_of(frame: Pixels) -> float:
    """Return the variance of the Laplacian of a frame's brightness."""
    return float(cv2.Laplacian(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.CV_32F).var())


def _error(film: str, last: Moment, moment: Moment, motion: Motion) -> float | None:
    change = np.abs(moment.frames[film] - motion.back.move(last.frames[film])).mean(2)
    return _mean(change, motion.back.is_seen)


def _flickers(before: Moment, moment: Moment, after: Moment) -> dict[str, float | None]:
    """Return the flicker of each film at the middle one of three moments of a shot."""
    assert moment.motion is not None  # noqa: S101
    assert after.motion is not None  # noqa: S101
    back, forth = moment.motion.back, after.motion.forth
    is_seen = back.is_seen & forth.is_seen
    jumps = {
        film: np.abs(frame - (back.move(before.frames[film]) + forth.move(after.frames[film])) / 2).mean(2)
        for film, frame in moment.frames.items()
    }
    return {film: _mean(np.maximum(0, jump - jumps[SOURCE]), is_seen) for film, jump in jumps.items()}


def _mean(values: Floats, where: Mask) -> float | None:
    return float(values[where].mean()) if where.any() else None
