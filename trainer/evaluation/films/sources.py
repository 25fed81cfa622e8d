"""The moments that are measured: those of films in files, and of clips that are made from a photo with exact motion."""

from collections.abc import Callable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Literal, NamedTuple

import av
import av.error
import cv2
import numpy as np

from trainer.errors import BadPhotos
from trainer.evaluation.films.measures import SOURCE, Moment
from trainer.evaluation.films.motion import Floats, Motion, Pixels, Places, estimate, grid_of, is_cut, is_inside

ClipKind = Literal["pan", "zoom", "noise"]
"""Motions of the clips that are made: the photo goes by or grows by fractions of a pixel, or only noise changes."""

PAN = (0.7, 0.4)
"""Columns and rows by which the photo moves in a frame."""
ZOOM = 1.004
"""Factor by which the photo grows in a frame."""
NOISE = 2.0
"""Standard deviation of the noise, in levels of 255."""
_ROOM = 0.8
"""Share of the photo's sides that a clip shows."""


def moments_of_films(source: Path, paintings: Mapping[str, Path]) -> Iterator[Moment]:
    """Yield the frames of a film with those of films that were painted from it, all in the size of the paintings.

    Raises:
        BadPhotos: A file is no film, or the films have different numbers of frames or paintings of different sizes.
    """
    readers = {SOURCE: _frames(source), **{name: _frames(path) for name, path in paintings.items()}}
    last: Pixels | None = None
    for found in zip_longest(*readers.values()):
        frames = {name: frame for name, frame in zip(readers, found, strict=True) if frame is not None}
        if len(frames) < len(readers):
            raise BadPhotos("the films have different numbers of frames: give a film and what was painted from it")
        sizes = {frame.shape[:2] for name, frame in frames.items() if name != SOURCE}
        if len(sizes) > 1:
            raise BadPhotos("the paintings have different sizes: paint both films in one size")
        height, width = sizes.pop()
        if frames[SOURCE].shape[:2] != (height, width):
            resized = cv2.resize(frames[SOURCE], (width, height), interpolation=cv2.INTER_AREA)
            frames[SOURCE] = np.asarray(resized, np.uint8)
        shown = frames[SOURCE]
        yield Moment(frames, None if last is None or is_cut(last, shown) else estimate(last, shown))
        last = shown


class MadeClip(NamedTuple):
    """A clip that is made from a photo, whose motion is known exactly.

    Attributes:
        photo: The photo, RGB, `(H, W, 3)`.
        kind: What moves in the clip.
        frames: Number of frames.
    """

    photo: Pixels
    kind: ClipKind
    frames: int

    def moments(self, paint: Callable[[Pixels], Pixels], name: str) -> Iterator[Moment]:
        """Yield the frames with their paintings, which a function makes, under a name."""
        noise = np.random.default_rng(0)
        height, width = (round(_ROOM * side) for side in self.photo.shape[:2])
        grid = grid_of(height, width)
        for number in range(self.frames):
            places = self._shown(grid, number)
            frame = cv2.remap(self.photo.astype(np.float32), places, None, cv2.INTER_CUBIC)  # type: ignore[call-overload]
            if self.kind == "noise":
                frame = frame + noise.normal(0, NOISE, frame.shape)
            shown = np.clip(np.rint(frame), 0, 255).astype(np.uint8)
            yield Moment({SOURCE: shown, name: paint(shown)}, self._motion(grid, number) if number else None)

    def _shown(self, grid: Floats, number: int) -> Floats:
        """Return the column and the row of the photo that each pixel of a frame shows."""
        scale, shift = self._view(number)
        return np.asarray(grid * scale + shift, np.float32)

    def _motion(self, grid: Floats, number: int) -> Motion:
        """Return the motion from the frame before to this one."""
        (scale_before, shift_before), (scale, shift) = self._view(number - 1), self._view(number)
        back = np.asarray((grid * scale + shift - shift_before) / scale_before, np.float32)
        forth = np.asarray((grid * scale_before + shift_before - shift) / scale, np.float32)
        return Motion(Places(back, is_inside(back)), Places(forth, is_inside(forth)))

    def _view(self, number: int) -> tuple[float, Floats]:
        """Return the scale and the shift, `(2,)`, by which a frame's pixels become those of the photo."""
        sides = np.array(self.photo.shape[1::-1], np.float32)
        middle: Floats = sides * np.float32((1 - _ROOM) / 2)
        if self.kind == "pan":
            return 1.0, middle + np.array(PAN, np.float32) * (number - self.frames / 2)
        if self.kind == "zoom":
            scale = ZOOM**-number
            return scale, middle + sides * np.float32(_ROOM / 2 * (1 - scale))
        return 1.0, np.rint(middle)


def _frames(path: Path) -> Iterator[Pixels]:
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                yield np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90) % 4))
    except (av.error.FFmpegError, IndexError) as error:
        reason = error.strerror if isinstance(error, av.error.FFmpegError) else "it has no pictures"
        raise BadPhotos(f"cannot read the film {path}: {reason}") from error
