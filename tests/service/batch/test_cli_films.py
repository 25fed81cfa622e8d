"""The commands `impasto stylize` and `impasto super-resolve` with films."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service.contract.problems import Unavailable
from service.video.calm import Calm
from service.video.colours import Pixels

from ...command import Impasto
from ...picture_files import plain_png
from ..video.films import frames_of, pictures, pixels_of, tracks_of, write_film
from .test_cli_many import COMMAND, ENVIRONMENT


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_film(tmp_path / "film.mp4", pictures(6), sound=True)


def test_a_film_is_painted_and_keeps_its_sound(impasto: Impasto, film: Path, tmp_path: Path) -> None:
    output = tmp_path / "painted.mp4"
    done = impasto("stylize", film, "--style", "muse", "-o", output)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{output}: muse@1, 6 frames in ")
    (video, sound), (source_video, source_sound) = tracks_of(output), tracks_of(film)
    assert video.times == source_video.times
    assert sound.packets == source_sound.packets
    painted, original = frames_of(output)[0].to_ndarray(format="rgb24"), frames_of(film)[0].to_ndarray(format="rgb24")
    assert abs(painted.astype(int) - original).mean() > 20


def test_a_film_is_enlarged_to_a_scale(impasto: Impasto, film: Path, tmp_path: Path) -> None:
    done = impasto(
        "super-resolve", film, "--scale", "2", "-o", tmp_path / "large.mkv", "--codec", "hevc", "--crf", "30"
    )
    assert done.returncode == 0, done.stderr
    assert [(frame.width, frame.height) for frame in frames_of(tmp_path / "large.mkv")] == 6 * [(128, 96)]
    assert tracks_of(tmp_path / "large.mkv")[0].codec == "hevc"


def test_options_of_pictures_hold_for_the_frames(impasto: Impasto, film: Path, tmp_path: Path) -> None:
    output = tmp_path / "out/film.mp4"
    done = impasto("stylize", film, "--style", "muse:0.5,candy:0.5", "--strength", "0", "--size", "32", "-o", "out")
    assert done.returncode == 0, done.stderr
    assert "candy@1:0.5" in done.stdout
    assert [(frame.width, frame.height) for frame in frames_of(output)] == 6 * [(32, 24)]


@pytest.fixture
def shot(tmp_path: Path) -> Path:
    """A film that hardly changes."""
    return write_film(tmp_path / "shot.mp4", pictures(100)[:6])


def test_films_are_calm_unless_they_are_painted_frame_by_frame(impasto: Impasto, shot: Path, tmp_path: Path) -> None:
    words = ("stylize", shot, "--style", "muse", "--crf", "0")
    for name, temporal in (("calm", ()), ("frame by frame", ("--temporal", "0"))):
        done = impasto(*words, *temporal, "-o", tmp_path / f"{name}.mp4")
        assert done.returncode == 0, done.stderr
    first, *later = zip(pixels_of(tmp_path / "calm.mp4"), pixels_of(tmp_path / "frame by frame.mp4"), strict=True)
    assert np.array_equal(*first)
    assert not any(np.array_equal(*pair) for pair in later)


def test_a_calm_film_is_gone_on_with_from_its_last_painting(
    impasto: Impasto, shot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("stylize", shot, "--style", "muse", "--crf", "0", "--size", "63")
    assert impasto(*words, "-o", tmp_path / "at once.mp4").returncode == 0
    assert impasto(*words, "-o", tmp_path / "by frame.mp4", "--temporal", "0").returncode == 0
    settle, frames = Calm.settle, []

    def fail_at_the_fifth(calm: Calm, frame: Pixels, painting: Pixels) -> Pixels:
        frames.append(frame)
        if len(frames) == 5:
            raise Unavailable("out of memory")
        return settle(calm, frame, painting)

    monkeypatch.setattr(Calm, "settle", fail_at_the_fifth)
    output = tmp_path / "painted.mp4"
    assert impasto(*words, "-o", output).returncode == 1
    other = impasto(*words, "-o", output, "--resume", "--temporal", "0.5")
    assert "painted.partial.mp4 was made with other options" in other.stderr
    done = impasto(*words, "-o", output, "--resume")
    assert done.returncode == 0, done.stderr
    resumed, at_once, by_frame = (
        pixels_of(tmp_path / name)[-2].astype(int) for name in ("painted.mp4", "at once.mp4", "by frame.mp4")
    )
    assert np.abs(resumed - at_once).mean() < np.abs(by_frame - at_once).mean() / 2


def test_a_folder_mixes_pictures_and_films(impasto: Impasto, film: Path, tmp_path: Path) -> None:
    folder = tmp_path / "holidays"
    (folder / "day 1").mkdir(parents=True)
    film.rename(folder / "day 1/film.mp4")
    write_film(folder / "old.avi", pictures(3), codec="mpeg4")
    (folder / "photo.png").write_bytes(plain_png(40, width=20))
    (folder / "broken.mov").write_bytes(b"no film")
    (folder / "notes.txt").touch()
    done = impasto("stylize", folder, "--style", "muse", "-o", "out", "--json")
    assert done.returncode == 1
    *lines, summary = (json.loads(line) for line in done.stdout.splitlines())
    assert {Path(line["output"]).name: line["status"] for line in lines} == {
        "photo.png": "made",
        "film.mp4": "made",
        "old.mp4": "made",
        "broken.mov": "failed",
    }
    assert next(line["frames"] for line in lines if line["output"].endswith("film.mp4")) == 6
    assert next(line["kind"] for line in lines if line["output"].endswith("broken.mov")) == "UnsupportedFormat"
    assert summary["summary"]["left_out"] == {".txt": 1}
    assert len(frames_of(tmp_path / "out/day 1/film.mp4")) == 6
    with Image.open(tmp_path / "out/photo.png") as image:
        assert image.size == (20, 16)
    again = impasto("stylize", folder, "--style", "muse", "-o", "out")
    assert "3 were there already" in again.stderr


def test_what_a_film_loses_is_told(impasto: Impasto, tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mkv", pictures(3), codec="ffv1", pixel_format="yuv420p10le")
    done = impasto("stylize", film, "--style", "muse", "-o", "painted.mp4")
    assert "film.mkv: its 10 bits a channel became 8" in done.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["film.mp4", "-o", "painted.jpg"], "film.mp4 is a film, and painted.jpg is not: end its name in .mp4"),
        (["photo.png", "-o", "painted.mp4"], "photo.png is a picture, and painted.mp4 is a film"),
        (["film.mp4", "-o", "-"], "a film cannot be written to '-'"),
        (["film.mp4", "photo.png", "-o", "both.mp4"], "several pictures cannot be written to the file both.mp4"),
        (["film.mp4", "-o", "painted.webm", "--codec", "h264"], "a WebM file holds no h264: take --codec vp9 or av1"),
        (["film.mp4", "-o", "painted.mp4", "--crf", "60"], "crf=60 is out of range: h264 takes 0 to 51"),
        (["film.mp4", "-o", "painted.mp4", "--server", "http://localhost:9"], "servers do not make films yet"),
    ],
)
def test_what_cannot_be_made_is_refused_in_a_sentence(
    impasto: Impasto, film: Path, tmp_path: Path, words: list[str], sentence: str
) -> None:
    (tmp_path / "photo.png").write_bytes(plain_png(40))
    done = impasto("stylize", "--style", "muse", *words)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert sorted(path.suffix for path in tmp_path.iterdir() if path.is_file()) == [".mp4", ".png"]
    assert film.exists()


def test_without_the_extra_pictures_are_made_and_films_name_it(
    impasto: Impasto, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photo.png").write_bytes(plain_png(40))
    for name in list(sys.modules):
        if name.startswith(("service.batch.films", "service.video.")) and name != "service.video.encoding":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "av", None)
    done = impasto("stylize", film, "photo.png", "--style", "muse", "-o", "out")
    assert done.returncode == 1
    assert "films need av: install it with: pip install 'impasto[video]'" in done.stderr
    assert "1 made" in done.stderr
    assert (tmp_path / "out/photo.png").exists()


def test_an_unfinished_film_is_gone_on_with_or_begun_anew_but_never_lost_silently(
    impasto: Impasto, film: Path, tmp_path: Path
) -> None:
    output, partial = tmp_path / "painted.mp4", tmp_path / "painted.partial.mp4"
    words = ("stylize", film, "--style", "muse", "-o", output)
    cut = write_film(tmp_path / "cut.h264", [*pictures(6), *pictures(2, 32, 32)])
    cut.rename(partial)
    refused = impasto(*words)
    assert refused.returncode == 1
    assert "--resume goes on with it, --overwrite begins anew" in refused.stderr
    other = impasto(*words, "--resume")
    assert other.returncode == 1
    assert "painted.partial.mp4 was made with other options, or from another film" in other.stderr
    assert partial.exists()
    assert impasto(*words, "--overwrite").returncode == 0
    assert len(frames_of(output)) == 6
    assert not partial.exists()


@pytest.mark.process
def test_ctrl_c_leaves_a_film_that_plays_and_that_a_later_run_goes_on_with(impasto: Impasto, tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4", pictures(100, 96, 96), sound=True)
    output, partial = tmp_path / "painted.mp4", tmp_path / "painted.partial.mp4"
    command = [COMMAND, "stylize", film, "--style", "muse", "-o", output]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    deadline = time.monotonic() + 60
    while not (partial.exists() and partial.stat().st_size):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert f"{partial} plays up to where it was left; --resume goes on with it" in errors
    assert not output.exists()
    made = len(frames_of(partial))
    assert 0 < made < 100
    done = impasto(*command[1:], "--resume", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[0])
    assert (told["frames"], told["painted"]) == (100, 100 - made)
    assert tracks_of(output)[0].times == tracks_of(film)[0].times
    assert tracks_of(output)[1].packets == tracks_of(film)[1].packets
