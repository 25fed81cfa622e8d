"""Measures of painted films, on clips whose motion is known."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import av
import cv2
import numpy as np
import pytest

from trainer.errors import BadPhotos
from trainer.evaluation.films.measures import SOURCE, Figures, Shot, measure, sharpness_of
from trainer.evaluation.films.motion import Pixels, estimate, grid_of, is_cut
from trainer.evaluation.films.sources import NOISE, PAN, ClipKind, MadeClip, moments_of_films

PICTURES = Path(__file__).parents[3] / "pictures"


def photo(name: str = "coffee", longest_side: int = 200) -> Pixels:
    picture = cv2.cvtColor(cv2.imread(str(PICTURES / f"{name}.jpg")), cv2.COLOR_BGR2RGB)
    scale = longest_side / max(picture.shape)
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def unchanged(frame: Pixels) -> Pixels:
    return frame


def boiling() -> Iterator[int]:
    """Levels by which every second painting is lighter."""
    while True:
        yield 0
        yield 20


def figures_of(kind: ClipKind, paint: Callable[[Pixels], Pixels] = unchanged) -> Figures:
    return Shot.of_all(measure(MadeClip(photo(), kind, 5).moments(paint, "painted"))).figures("painted")


@pytest.mark.parametrize("kind", ["pan", "zoom"])
def test_what_moves_with_the_film_is_calm(kind: ClipKind) -> None:
    calm = figures_of(kind)
    assert calm.warping_error < 2
    assert calm.flicker == 0


def test_noise_that_changes_is_an_error_of_its_size() -> None:
    # The mean absolute difference of two normal variables is 2 / sqrt(pi) of the standard deviation.
    assert figures_of("noise").warping_error == pytest.approx(NOISE * 2 / np.pi**0.5, rel=0.05)


@pytest.mark.parametrize("kind", get_args(ClipKind))
def test_paintings_that_boil_have_an_error_and_flicker_of_the_size_of_their_jumps(kind: ClipKind) -> None:
    levels = boiling()
    boiled = figures_of(kind, lambda frame: (frame // 2 + next(levels)).astype(np.uint8))
    assert boiled.warping_error == pytest.approx(20, abs=1)
    assert 16 < boiled.flicker <= 20


def test_paintings_that_change_slowly_do_not_flicker() -> None:
    level = iter(range(0, 100, 4))
    slow = figures_of("pan", lambda frame: (frame // 2 + next(level)).astype(np.uint8))
    assert slow.warping_error == pytest.approx(4, abs=1)
    assert slow.flicker < 0.5


def test_a_painting_that_stands_still_while_the_film_moves_has_an_error() -> None:
    first = photo()[:100, :100]
    assert figures_of("pan", lambda frame: cv2.resize(first, frame.shape[1::-1])).warping_error > 2


def test_a_blurred_painting_is_less_sharp() -> None:
    assert sharpness_of(cv2.GaussianBlur(photo(), (0, 0), 1)) < sharpness_of(photo()) / 4


def test_estimated_motion_is_that_of_the_clip_and_knows_what_came_in() -> None:
    first, second = (moment.frames[SOURCE] for moment in MadeClip(photo(), "pan", 2).moments(unchanged, "painted"))
    back = estimate(first, second).back
    moved = back.places - grid_of(*second.shape[:2])
    assert np.median(moved[back.is_seen], axis=0) == pytest.approx(PAN, abs=0.1)
    assert back.is_seen.mean() > 0.8
    assert not back.is_seen[-1].any()


def test_a_cut_is_told_from_motion() -> None:
    moments = list(MadeClip(photo(), "pan", 2).moments(unchanged, "painted"))
    first, second = (moment.frames[SOURCE] for moment in moments)
    assert not is_cut(first, second)
    assert is_cut(first, cv2.resize(photo("chelsea"), first.shape[1::-1]))


def write(path: Path, frames: list[Pixels]) -> Path:
    with av.open(str(path), "w") as film:
        video = film.add_stream("ffv1", rate=25)
        video.height, video.width = frames[0].shape[:2]
        video.pix_fmt = "bgr0"
        for frame in frames:
            film.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        film.mux(video.encode(None))
    return path


def frames_of(name: str, number: int) -> list[Pixels]:
    clip = MadeClip(photo(name)[:130, :130], "pan", number)
    return [moment.frames[SOURCE] for moment in clip.moments(unchanged, "painted")]


def test_the_shots_of_a_film_are_measured_by_themselves(tmp_path: Path) -> None:
    frames = [*frames_of("coffee", 4), *frames_of("chelsea", 3)]
    source = write(tmp_path / "film.mkv", frames)
    levels = boiling()
    painted = [frame // 2 for frame in frames[:4]] + [
        (frame // 2 + next(levels)).astype(np.uint8) for frame in frames[4:]
    ]
    shots = measure(moments_of_films(source, {"painted": write(tmp_path / "painted.mkv", painted)}))
    assert [(shot.first, shot.frames) for shot in shots] == [(0, 4), (4, 3)]
    calm, boiled = (shot.figures("painted") for shot in shots)
    assert calm.warping_error < 2
    assert boiled.warping_error > 15
    whole = Shot.of_all(shots)
    assert whole.frames == 7
    expected = (3 * calm.warping_error + 2 * boiled.warping_error) / 5
    assert whole.figures("painted").warping_error == pytest.approx(expected)


def test_films_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    frames = frames_of("coffee", 3)
    source, shorter = write(tmp_path / "film.mkv", frames), write(tmp_path / "shorter.mkv", frames[:2])
    with pytest.raises(BadPhotos, match="different numbers of frames"):
        list(moments_of_films(source, {"painted": shorter}))
    smaller = write(tmp_path / "smaller.mkv", [frame[:80] for frame in frames])
    with pytest.raises(BadPhotos, match="different sizes"):
        list(moments_of_films(source, {"painted": source, "frame by frame": smaller}))
    text = tmp_path / "notes.mkv"
    text.write_text("no film")
    with pytest.raises(BadPhotos, match=r"cannot read the film .*notes\.mkv: Invalid data"):
        list(moments_of_films(source, {"painted": text}))
    with pytest.raises(BadPhotos, match=r"cannot read the film .*none\.mkv: No such file"):
        list(moments_of_films(source, {"painted": tmp_path / "none.mkv"}))


def test_a_painting_of_another_size_is_compared_with_the_film_in_its_size(tmp_path: Path) -> None:
    frames = frames_of("coffee", 3)
    half = [np.asarray(cv2.resize(frame, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)) for frame in frames]
    (shot,) = measure(
        moments_of_films(write(tmp_path / "film.mkv", frames), {"painted": write(tmp_path / "half.mkv", half)})
    )
    assert shot.figures("painted") == pytest.approx(shot.figures(SOURCE), rel=0.05)
