"""Calm films: paintings that boil are settled where the film shows the same, and nowhere else."""

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from service.video.calm import Calm
from service.video.colours import Pixels
from service.video.motion import MotionEstimator, is_cut

PICTURES = Path(__file__).parents[2] / "pictures"
SIDE = 120
STEP = (1.5, 0.75)
"""Columns and rows by which the films here move to the left and up in a frame."""


def photo(name: str = "coffee") -> Pixels:
    picture = cv2.cvtColor(cv2.imread(str(PICTURES / f"{name}.jpg")), cv2.COLOR_BGR2RGB)
    return np.asarray(cv2.resize(picture, (200, 200), interpolation=cv2.INTER_AREA), np.uint8)


def view(picture: Pixels, number: int) -> Pixels:
    """What a camera that pans over a picture sees."""
    shift = np.array([[1, 0, STEP[0] * number + 20], [0, 1, STEP[1] * number + 20]], np.float32)
    return np.asarray(cv2.warpAffine(picture, shift, (SIDE, SIDE), flags=cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP))


def panned(number: int, name: str = "coffee") -> list[Pixels]:
    return [view(photo(name), each) for each in range(number)]


@pytest.fixture
def boil() -> Callable[[Pixels], Pixels]:
    """A painter whose strokes are others in each frame."""
    random = np.random.default_rng(0)

    def paint(frame: Pixels) -> Pixels:
        strokes = cv2.GaussianBlur(random.normal(0, 60, frame.shape), (0, 0), 1)
        return np.clip(frame + strokes, 0, 255).astype(np.uint8)

    return paint


def jumps(frames: list[Pixels]) -> float:
    """The mean difference between frames, the later one moved back by `STEP`, without the border."""
    shift = np.array([[1, 0, -STEP[0]], [0, 1, -STEP[1]]], np.float32)
    moved = (
        cv2.warpAffine(after, shift, (SIDE, SIDE), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP) for after in frames[1:]
    )
    inside = np.s_[10:-10, 10:-10]
    return float(
        np.mean([np.abs(a[inside].astype(int) - b[inside]).mean() for a, b in zip(frames, moved, strict=False)])
    )


def sharpness(frame: Pixels) -> float:
    return float(cv2.Laplacian(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.CV_32F).var())


def settled(frames: list[Pixels], paintings: list[Pixels], share: float = 0.9) -> list[Pixels]:
    calm = Calm(share)
    return [calm.settle(frame, painting) for frame, painting in zip(frames, paintings, strict=True)]


def test_strokes_go_with_what_the_film_shows_and_stay_as_sharp(boil: Callable[[Pixels], Pixels]) -> None:
    frames = panned(8)
    paintings = [boil(frame) for frame in frames]
    calm = settled(frames, paintings)
    assert jumps(calm) < jumps(paintings) / 2
    assert 0.85 < sharpness(calm[-1]) / sharpness(paintings[-1]) < 1.15


def test_more_share_is_calmer_and_none_changes_nothing(boil: Callable[[Pixels], Pixels]) -> None:
    frames = panned(6)
    paintings = [boil(frame) for frame in frames]
    assert np.array_equal(settled(frames, paintings, 0.0), paintings)
    found = [jumps(settled(frames, paintings, share)) for share in (0.3, 0.6, 0.9)]
    assert found == sorted(found, reverse=True)


def test_a_cut_begins_anew(boil: Callable[[Pixels], Pixels]) -> None:
    frames = [*panned(3), *panned(2, "chelsea")]
    paintings = [boil(frame) for frame in frames]
    calm = settled(frames, paintings)
    assert np.array_equal(calm[3], paintings[3])
    assert not np.array_equal(calm[4], paintings[4])


def test_nothing_follows_what_moves_over_a_still_ground(boil: Callable[[Pixels], Pixels]) -> None:
    """A black square passes; where it was, the ground comes back at once, without a trail."""
    ground = view(photo(), 0)
    frames = []
    for number in range(6):
        frame = ground.copy()
        frame[40:80, 10 + 12 * number : 40 + 12 * number] = 0
        frames.append(frame)
    paintings = [boil(frame) for frame in frames]
    calm = settled(frames, paintings)
    for number in range(1, 6):
        left_behind = np.s_[45:75, 10 + 12 * number - 10 : 10 + 12 * number - 2]
        error = np.abs(calm[number][left_behind].astype(int) - paintings[number][left_behind]).mean()
        assert error < 3


def test_where_the_film_changes_the_painting_follows_at_once(boil: Callable[[Pixels], Pixels]) -> None:
    frames = [view(photo(), 0)] * 2
    lit = frames[1].copy()
    lit[40:80, 40:80] = np.clip(lit[40:80, 40:80].astype(int) + 90, 0, 255)
    paintings = [boil(frame) for frame in (frames[0], lit)]
    _, calm = settled([frames[0], lit], paintings)
    assert np.abs(calm[45:75, 45:75].astype(int) - paintings[1][45:75, 45:75]).mean() < 3


def test_a_painting_may_have_another_size_than_the_film(boil: Callable[[Pixels], Pixels]) -> None:
    frames = panned(4)
    paintings = [boil(cv2.resize(frame, (61, 60))) for frame in frames]
    calm = settled(frames, paintings)
    assert [each.shape for each in calm] == 4 * [(60, 61, 3)]
    assert not np.array_equal(calm[1], paintings[1])


def test_it_goes_on_from_an_earlier_frame_and_its_painting(boil: Callable[[Pixels], Pixels]) -> None:
    frames = panned(5)
    paintings = [boil(frame) for frame in frames]
    at_once = settled(frames, paintings)
    calm = Calm(0.9)
    calm.go_on_from(frames[2], at_once[2][:, :-1])  # as a film has it whose sides must be even
    later = [calm.settle(frame, painting) for frame, painting in zip(frames[3:], paintings[3:], strict=True)]
    for one, other in zip(later, at_once[3:], strict=True):
        assert np.abs(one.astype(int) - other).mean() < 4


def test_motion_is_found_and_not_relied_on_where_something_came_in() -> None:
    first, second = panned(2)
    motion = MotionEstimator(SIDE, SIDE).estimate(first, second)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    moved = motion.places - np.dstack([columns, rows])
    assert np.median(moved, axis=(0, 1)) == pytest.approx(STEP, abs=0.15)
    assert motion.reliance[10:-10, 10:-10].mean() > 0.8
    assert motion.reliance[:, -1].max() < 0.7


def frames_around_a_cut() -> Iterator[tuple[str, Pixels, Pixels, bool]]:
    first, second = panned(2)
    yield "a pan", first, second, False
    yield "a lamp that is lit", first, np.clip(first.astype(int) + 12, 0, 255).astype(np.uint8), False
    yield "another scene", first, panned(1, "chelsea")[0], True


@pytest.mark.parametrize(
    ("first", "second", "expected"), [each[1:] for each in frames_around_a_cut()], ids=lambda _: ""
)
def test_a_cut_is_told_from_motion_and_light(first: Pixels, second: Pixels, expected: bool) -> None:
    assert is_cut(first, second) == expected
