"""What is no film, or no whole one, is refused or told, each in a sentence of its own."""

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from model_store.errors import ImpastoError
from service.contract.problems import BadFilm, TooLarge, UnsupportedFormat
from service.video.source import FilmSource, Frame

from .films import pictures, write_film


def read(path: Path, **limits: int) -> tuple[list[Frame], list[str]]:
    with FilmSource(path, **limits) as source:
        frames = [each for each in source.read() if isinstance(each, Frame)]
        return frames, source.notes


def refusal(path: Path, kind: type[ImpastoError], **limits: int) -> str:
    with pytest.raises(kind) as raised:
        read(path, **limits)
    return str(raised.value)


def noise(number: int, width: int = 64, height: int = 48) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 255, (number, height, width, 3), np.uint8))


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "WEBP"])
def test_a_picture_that_is_named_like_a_film(tmp_path: Path, format_: str) -> None:
    path = tmp_path / "film.mp4"
    Image.new("RGB", (64, 48), "teal").save(path, format_)
    assert "this is a picture, and its name says that it is a film" in refusal(path, UnsupportedFormat)


@pytest.mark.parametrize("content", [b"", b"Once upon a time " * 100, bytes(range(256)) * 20])
def test_a_file_that_is_nothing_like_a_film(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    assert "this is not a film in a format that FFmpeg reads" in refusal(path, UnsupportedFormat)


def test_a_cut_film_whose_index_was_at_its_end(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mp4", noise(20))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "cut short, and its index is missing" in refusal(path, BadFilm)


def test_a_cut_film_with_its_index_is_read_as_far_as_it_goes_and_that_is_told(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mp4", noise(100), container={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames, (*_, note) = read(path)
    assert 30 < len(frames) < 70
    assert note.startswith("the file is cut short: its last ")


def test_a_file_of_sound_alone(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4", pictures(10), sound=True)
    assert "there is no film in this file, only sound" in refusal(without_pictures(film), BadFilm)


def test_the_cover_of_an_album_is_no_film(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4", pictures(10), sound=True)
    album = without_pictures(film, cover=True)
    assert "only sound besides the picture on its cover" in refusal(album, BadFilm)


def without_pictures(film: Path, *, cover: bool = False) -> Path:
    """Write the sound of a film, and a cover as music has it, to a file of its own."""
    path = film.with_name("sound.mp4")
    with av.open(str(film)) as source, av.open(str(path), "w") as target:
        sound = target.add_stream_from_template(source.streams.audio[0], opaque=True)
        if cover:
            picture = target.add_stream("png", width=64, height=48, pix_fmt="rgb24")
            picture.disposition = av.stream.Disposition.attached_pic
            target.mux(picture.encode(av.VideoFrame.from_ndarray(pictures(1)[0], format="rgb24")))
        for packet in source.demux(audio=0):
            if packet.size:
                packet.stream = sound
                target.mux(packet)
    return path


@pytest.mark.parametrize(
    ("side", "kind", "sentence"),
    [
        (9_000, TooLarge, "the film has 9,000×9,000 pixels; films may have up to 67,108,864 in all"),
        (100_000, BadFilm, "the size of the film's frames cannot be read"),
    ],
)
def test_a_claim_of_huge_frames(tmp_path: Path, side: int, kind: type[ImpastoError], sentence: str) -> None:
    path = write_film(tmp_path / "film.avi", pictures(2), codec="ffv1")
    content = path.read_bytes()
    width_and_height = (64).to_bytes(4, "little") + (48).to_bytes(4, "little")
    assert width_and_height in content
    path.write_bytes(content.replace(width_and_height, 2 * side.to_bytes(4, "little")))
    assert sentence in refusal(path, kind)


def test_frames_of_too_many_pixels_are_refused_with_the_limit(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mp4", pictures(2))
    assert "the film has 64×48 pixels; films may have up to 3,000 in all" in refusal(path, TooLarge, max_pixels=3000)


def test_frames_whose_size_changes_in_the_middle(tmp_path: Path) -> None:
    parts = [write_film(tmp_path / f"{side}.ts", pictures(10, side, side)) for side in (64, 96)]
    path = tmp_path / "film.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert "the size of the frames changes from 64×64 to 96×96" in refusal(path, BadFilm)


def test_an_encrypted_film(tmp_path: Path) -> None:
    scheme = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "0f" * 16, "encryption_kid": "1e" * 16}
    path = write_film(tmp_path / "film.mp4", pictures(10), container=scheme)
    assert "the film is encrypted" in refusal(path, BadFilm)


def test_a_broken_frame_is_skipped_and_counted(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mp4", noise(10), options={"crf": "10"}, gop_size=1)
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as film:
        packets = [(packet.pos, packet.size) for packet in film.demux(video=0) if packet.size]
    position, size = packets[4]
    content[position : position + size] = bytes(size)
    path.write_bytes(content)
    frames, notes = read(path)
    assert len(frames) == 9
    assert frames[3].duration == 2 * frames[2].duration
    assert notes == ["1 broken frame was skipped"]


def test_a_film_without_times_gets_those_of_its_rate(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.h264", pictures(5))
    with FilmSource(path) as source:
        times = [each.pts * source.time_base for each in source.read() if isinstance(each, Frame)]
        assert np.diff([float(time) for time in times]) == pytest.approx(4 * [0.04])


def test_other_streams_are_told(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as film:
        small, large = (film.add_stream("libx264", rate=25) for _ in range(2))
        small.width, small.height, large.width, large.height = 32, 32, 64, 48
        film.add_attachment("notes.txt", "text/plain", b"a letter")
        for stream in (small, large):
            for index in range(3):
                frame = av.VideoFrame(stream.width, stream.height, "yuv420p")
                frame.pts = index
                film.mux(stream.encode(frame))
            film.mux(stream.encode(None))
    frames, notes = read(path)
    assert frames[0].pixels.shape == (48, 64, 3)
    assert notes == ["2 other streams were left out (attachment, video)"]


def test_an_interlaced_film_is_told(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mp4", pictures(3), options={"x264-params": "interlaced=1"})
    _, notes = read(path)
    assert notes == ["its frames are interlaced, and were taken as they are: deinterlace the film first"]
