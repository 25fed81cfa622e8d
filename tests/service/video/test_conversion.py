"""What a converted film keeps: times, sound, subtitles, turn, shape and colours; and what is told of what it loses."""

import itertools
import os
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from service.video import colours
from service.video.encoding import ENCODERS

from .films import STEP, TIME_BASE, Pixels, convert, frames_of, pictures, pixels_of, tracks_of, write_film, yuv


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "painted.mp4"


def test_each_frame_is_painted_once_and_in_order(tmp_path: Path, output: Path) -> None:
    film = write_film(tmp_path / "film.mp4", pictures(12), options={"crf": "0"})

    async def negative(pixels: Pixels) -> Pixels:
        return 255 - pixels

    convert(film, output, negative, crf=0)
    for before, after in zip(pixels_of(film), pixels_of(output), strict=True):
        assert np.abs(255 - before.astype(int) - after).mean() < 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.mp4", "painted.mp4"]


def test_a_painter_may_change_the_size(tmp_path: Path, output: Path) -> None:
    film = write_film(tmp_path / "film.mp4", pictures(3))

    async def larger(pixels: Pixels) -> Pixels:
        return pixels.repeat(2, 0).repeat(3, 1)[:-1]

    notes = convert(film, output, larger)
    assert [(frame.width, frame.height) for frame in frames_of(output)] == 3 * [(192, 94)]
    assert notes == ["a film's sides are even numbers: 192×95 became 192×94"]


@pytest.mark.parametrize("start", [0, 12345])
@pytest.mark.parametrize("in_between", ["0", "1", "2"])
def test_uneven_times_stay_exact_to_the_end_of_the_last_frame(
    tmp_path: Path, output: Path, start: int, in_between: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pattern = {"bf": in_between, "b-adapt": "0"}  # with 2, the last frame is decoded before others
    monkeypatch.setitem(ENCODERS, "h264", ENCODERS["h264"]._replace(options=pattern))
    steps = np.random.default_rng(1).integers(100, 3000, 70).tolist()
    times = list(itertools.accumulate(steps, initial=start))
    exact = {"movie_timescale": "12800"}
    film = write_film(tmp_path / "film.mp4", pictures(70), times, options={"bf": "0"}, container=exact)
    convert(film, output)
    (before,), (after,) = tracks_of(film), tracks_of(output)
    assert after.times == before.times == [time * TIME_BASE for time in times[:-1]]
    assert after.stream["duration"] == before.stream["duration"] == (times[-1] - start) * TIME_BASE


def test_times_are_exact_in_the_time_base_of_every_container(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4", pictures(5), [0, 256, 1280, 1408, 2560, 5120])
    for suffix in (".mov", ".mkv", ".webm"):
        output = tmp_path / f"painted{suffix}"
        convert(film, output)
        assert tracks_of(output)[0].times == [Fraction(time, 1000) for time in (0, 20, 100, 110, 200)]


def test_sound_is_copied_byte_by_byte(tmp_path: Path, output: Path) -> None:
    film = write_film(tmp_path / "film.mp4", pictures(50), sound=True)
    convert(film, output)
    before, after = tracks_of(film)[1], tracks_of(output)[1]
    assert after.kind == "audio"
    assert len(after.packets) > 90
    assert (after.packets, after.times) == (before.packets, before.times)


def test_subtitles_are_copied_with_their_language(tmp_path: Path, output: Path) -> None:
    film = write_film(tmp_path / "film.mp4", pictures(75), subtitles=["one", "two"], sound=True)
    convert(film, output)
    before, after = (next(each for each in tracks_of(path) if each.kind == "subtitle") for path in (film, output))
    assert after.packets[:2] == before.packets[:2]
    assert after.times[:2] == before.times[:2]


def test_subtitles_that_the_file_cannot_hold_are_told(tmp_path: Path, output: Path) -> None:
    film = write_film(tmp_path / "film.mkv", pictures(5), subtitles=["one"], subtitle_codec="subrip")
    assert convert(film, output) == ["subtitles (srt) left out, because mp4 cannot hold such"]
    assert convert(film, tmp_path / "painted.mkv") == []
    assert [track.codec for track in tracks_of(tmp_path / "painted.mkv")] == ["h264", "srt"]


def test_a_turned_film_is_painted_and_written_upright(tmp_path: Path, output: Path) -> None:
    left_is_dark = np.full((48, 64, 3), 200, np.uint8)
    left_is_dark[:, :32] = 20
    film = write_film(tmp_path / "film.mp4", 3 * [left_is_dark], rotation=90, sample_aspect_ratio=Fraction(4, 3))
    seen: list[Pixels] = []

    async def paint(pixels: Pixels) -> Pixels:
        seen.append(pixels)
        return pixels

    convert(film, output, paint)
    assert seen[0].shape == (64, 48, 3)
    assert seen[0][40:].max() < 60  # counterclockwise, the left side comes to lie below
    assert seen[0][:24].min() > 150
    (frame, *_) = frames_of(output)
    assert (frame.width, frame.height, frame.rotation) == (48, 64, 0)
    assert tracks_of(output)[0].stream["aspect"] == Fraction(3, 4)


def test_pixels_that_are_not_square_stay_so(tmp_path: Path, output: Path) -> None:
    film = write_film(tmp_path / "film.mp4", pictures(3), sample_aspect_ratio=Fraction(128, 117))
    convert(film, output)
    assert tracks_of(output)[0].stream["aspect"] == Fraction(128, 117)


BT601, BT709, BT2020, UNTOLD = 6, 1, 9, 2
LIMITED, FULL = 1, 2


@pytest.mark.parametrize("color_range", [LIMITED, FULL])
@pytest.mark.parametrize("matrix", [BT601, BT709, BT2020, UNTOLD])
def test_flat_colours_come_out_as_they_were(tmp_path: Path, output: Path, matrix: int, color_range: int) -> None:
    flats = [yuv(60, 120, 130), yuv(128, 128, 128), yuv(200, 110, 140), yuv(100, 150, 110)]
    told = {"colorspace": matrix, "color_range": color_range, "color_primaries": matrix, "color_trc": matrix}
    for frame in flats:
        for name, value in told.items():
            setattr(frame, name, value)
    film = write_film(tmp_path / "film.mp4", flats, options={"crf": "0"}, **told)
    convert(film, output, crf=0)
    (source,), (made,) = tracks_of(film), tracks_of(output)
    assert {name: made.stream[name] for name in told} == {name: source.stream[name] for name in told}
    for before, after in zip(flats, frames_of(output), strict=True):
        difference = before.to_ndarray().astype(int) - after.to_ndarray()
        assert np.abs(difference).max() <= 1


@pytest.mark.parametrize(("matrix", "red"), [(BT601, (255, 0, 0)), (BT709, (255, 24, 0))])
def test_a_painter_sees_the_colours_of_the_films_own_matrix(
    tmp_path: Path, output: Path, matrix: int, red: tuple[int, int, int]
) -> None:
    flat = yuv(81, 90, 240)  # red in BT.601
    flat.colorspace = matrix
    film = write_film(tmp_path / "film.mp4", [flat], options={"crf": "0"}, colorspace=matrix)
    seen: list[Pixels] = []

    async def paint(pixels: Pixels) -> Pixels:
        seen.append(pixels)
        return pixels

    convert(film, output, paint)
    assert np.abs(seen[0][20, 20].astype(int) - red).max() <= 2


def test_a_matrix_that_players_would_assume_wrongly_after_enlarging_is_told(tmp_path: Path, output: Path) -> None:
    film = write_film(tmp_path / "film.mp4", pictures(2, 640, 360))

    async def larger(pixels: Pixels) -> Pixels:
        return pixels.repeat(2, 0).repeat(2, 1)

    convert(film, output, larger)
    assert tracks_of(output)[0].stream["colorspace"] == BT601


def test_ten_bits_become_eight_and_that_is_told(tmp_path: Path, output: Path) -> None:
    film = write_film(tmp_path / "film.mkv", pictures(2), codec="ffv1", pixel_format="yuv420p10le")
    assert convert(film, output) == ["its 10 bits a channel became 8"]
    assert tracks_of(output)[0].stream["pix_fmt"] == "yuv420p"


def test_high_dynamic_range_is_mapped_to_what_usual_screens_show(
    tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(colours, "TONE_MAPPING", "saturation")  # the same, darker, and without waiting for a table
    told = {"colorspace": BT2020, "color_range": LIMITED, "color_primaries": BT2020, "color_trc": 18}
    grey = np.full((48, 64, 3), 191, np.uint8)  # 75 %, which is white on paper in HLG
    film = write_film(tmp_path / "film.mkv", [grey], codec="ffv1", pixel_format="yuv420p10le", **told)
    (note,) = convert(film, output)
    assert note == "its high dynamic range (HLG, 10 bits) was mapped to standard dynamic range, 8 bits"
    (track,) = tracks_of(output)
    assert {track.stream[name] for name in ("colorspace", "color_primaries", "color_trc")} == {BT709}
    assert 130 < pixels_of(output)[0].mean() < 160


@pytest.mark.parametrize(
    ("name", "codec", "written"),
    [
        ("painted.mp4", None, ("h264", "avc1")),
        ("painted.mp4", "hevc", ("hevc", "hvc1")),
        ("painted.mp4", "av1", ("libdav1d", "av01")),
        ("painted.webm", None, ("vp9", None)),
        ("painted.mov", "h264", ("h264", "avc1")),
    ],
)
def test_films_are_written_in_several_codecs(
    tmp_path: Path, name: str, codec: str | None, written: tuple[str, str | None]
) -> None:
    film = write_film(tmp_path / "film.mp4", pictures(5))
    convert(film, tmp_path / name, codec=codec)
    (track,) = tracks_of(tmp_path / name)
    assert track.codec == written[0]
    assert written[1] is None or track.stream["tag"] == written[1]
    assert track.times == [Fraction(index * STEP) * TIME_BASE for index in range(5)]


def test_the_title_is_kept_and_the_place_only_if_asked_for(tmp_path: Path, output: Path) -> None:
    told = {"title": "Ducks", "location": "+59.3+018.0/"}
    film = write_film(tmp_path / "film.mp4", pictures(2), metadata=told)
    for keep in (False, True):
        convert(film, output, keep_metadata=keep)
        with av.open(str(output)) as made:
            assert made.metadata["title"] == "Ducks"
            assert any("location" in key for key in made.metadata) is keep


def test_sound_of_a_broadcast_is_freed_of_the_headers_that_mp4_has_once(tmp_path: Path, output: Path) -> None:
    film = write_film(tmp_path / "film.ts", pictures(25), sound=True)
    convert(film, output)
    before, after = tracks_of(film)[1], tracks_of(output)[1]
    assert len(after.packets) == len(before.packets)
    assert all(one.endswith(other) for one, other in zip(before.packets, after.packets, strict=True))
    with av.open(str(output)) as made:
        assert sum(frame.samples for frame in made.decode(audio=0)) >= 48000


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the scheduling of threads")
def test_an_encoder_does_not_make_the_process_run_in_real_time(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4", pictures(5))
    before = os.sched_getscheduler(0)
    found = set()

    def look(_time: Fraction) -> None:
        found.update(os.sched_getscheduler(int(thread)) for thread in os.listdir("/proc/self/task"))

    convert(film, tmp_path / "painted.mp4", codec="av1", on_frame=look)

    assert found == {before}
    assert os.sched_getscheduler(0) == before
