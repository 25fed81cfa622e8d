"""Unfinished films: they can be played, and a later run goes on with them."""

import asyncio
from fractions import Fraction
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from service.contract.problems import BadOption, Unavailable
from service.video.conversion import Painter

from . import films
from .films import Pixels, convert, pictures, pixels_of, tracks_of, unchanged, write_film

FRAMES = 120


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_film(tmp_path / "film.mp4", pictures(FRAMES), sound=True)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "painted.mp4"


def failing_after(number: int, error: BaseException) -> Painter:
    painted = 0

    async def paint(pixels: Pixels) -> Pixels:
        nonlocal painted
        painted += 1
        if painted > number:
            raise error
        return pixels

    return paint


def stop_after(number: int, film: Path, output: Path) -> Path:
    """Convert so many frames, and return the unfinished film."""
    with pytest.raises(Unavailable):
        convert(film, output, failing_after(number, Unavailable("out of memory")))
    assert not output.exists()
    return output.with_name("painted.partial.mp4")


def test_a_run_that_fails_leaves_a_film_that_plays_up_to_there(film: Path, output: Path) -> None:
    partial = stop_after(70, film, output)
    video, sound = tracks_of(partial)
    assert video.times == tracks_of(film)[0].times[:70]
    assert len(pixels_of(partial)) == 70
    assert sound.packets == tracks_of(film)[1].packets[: len(sound.packets)]


def test_a_cancelled_run_writes_the_frames_that_were_painted(film: Path, output: Path) -> None:
    written: list[Fraction] = []

    async def paint(pixels: Pixels) -> Pixels:
        await asyncio.sleep(0)
        return pixels

    def interrupt(time: Fraction) -> None:
        written.append(time)
        if len(written) == 60:
            asyncio.current_task().cancel()

    with pytest.raises(asyncio.CancelledError):
        convert(film, output, paint, on_frame=interrupt)
    assert tracks_of(output.with_name("painted.partial.mp4"))[0].times == written


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_killed_run_leaves_a_film_that_plays_up_to_there_and_can_be_gone_on_with(
    film: Path, tmp_path: Path, suffix: str
) -> None:
    output = tmp_path / f"painted{suffix}"
    partial = tmp_path / f"painted.partial{suffix}"
    seen: list[bytes] = []

    def look(_: Fraction) -> None:
        seen.append(partial.read_bytes())

    convert(film, output, on_frame=look)
    output.unlink()
    partial.write_bytes(seen[-1])  # what was on disk just before the last frame was written
    played = len(pixels_of(partial))
    assert 48 <= played < FRAMES
    painted = convert_counting(film, output)
    assert painted == FRAMES - played
    times = [float(time) for time in tracks_of(output)[0].times]
    start = 0.021 if suffix == ".mkv" else 0  # Matroska has no times below 0, where the sound begins
    assert np.subtract(times, start) == pytest.approx([index / 25 for index in range(FRAMES)], abs=0.0011)


def convert_counting(film: Path, output: Path) -> int:
    """Convert a film, and return the number of frames that were painted."""
    painted = 0

    async def paint(pixels: Pixels) -> Pixels:
        nonlocal painted
        painted += 1
        return pixels

    convert(film, output, paint)
    return painted


def test_a_film_that_was_gone_on_with_twice_is_as_if_it_was_made_at_once(film: Path, output: Path) -> None:
    at_once = output.with_name("at once.mp4")
    convert(film, at_once)
    stop_after(50, film, output)
    stop_after(41, film, output)
    assert convert_counting(film, output) == FRAMES - 50 - 41
    for made, whole in zip(tracks_of(output), tracks_of(at_once), strict=True):
        assert (made.times, made.stream) == (whole.times, whole.stream)
    assert tracks_of(output)[1].packets == tracks_of(film)[1].packets
    for made, source in zip(pixels_of(output), pixels_of(film), strict=True):
        assert np.abs(made.astype(int) - source).mean() < 3
    assert not list(output.parent.glob("*partial*")) + list(output.parent.glob("*earlier*"))


def test_a_run_that_was_killed_while_it_copied_the_earlier_film_loses_nothing(film: Path, output: Path) -> None:
    partial = stop_after(70, film, output)
    partial.rename(output.with_name("painted.earlier.mp4"))
    partial.write_bytes(b"the beginning of a copy")
    assert convert_counting(film, output) == FRAMES - 70


def test_a_film_that_was_made_with_other_options_is_not_gone_on_with(film: Path, output: Path) -> None:
    partial = stop_after(70, film, output)
    before = partial.read_bytes()
    with pytest.raises(BadOption, match=r"painted\.partial\.mp4 was made with other options"):
        convert(film, output, unchanged, made_with="candy instead of muse")
    assert partial.read_bytes() == before


def test_a_run_that_was_killed_before_its_first_frame_begins_anew(film: Path, output: Path) -> None:
    output.with_name("painted.partial.mp4").write_bytes(b"")
    assert convert_counting(film, output) == FRAMES


def test_a_film_whose_frames_were_all_made_is_finished_without_painting(
    film: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(films, "publish", Mock(side_effect=OSError("no space left")))
        with pytest.raises(OSError, match="no space"):
            convert(film, output)
    assert convert_counting(film, output) == 0
    (video, sound), (_, whole_sound) = tracks_of(output), tracks_of(film)
    assert len(video.times) == FRAMES
    assert sound.packets == whole_sound.packets


def test_a_size_that_the_codec_does_not_take_is_refused_and_nothing_is_left(film: Path, output: Path) -> None:
    async def widen(_: Pixels) -> Pixels:
        return np.zeros((16, 17_000, 3), np.uint8)

    with pytest.raises(BadOption, match=r"FFmpeg cannot write h264 of 17000×16 as mp4"):
        convert(film, output, widen)
    assert [path.name for path in output.parent.iterdir()] == ["film.mp4"]
