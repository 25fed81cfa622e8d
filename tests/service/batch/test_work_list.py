"""The work list: which pictures arguments stand for, and where the outputs go."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from model_store.errors import ImpastoError
from service.batch.work_list import list_work

Make = Callable[..., None]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Return a function that makes empty files in the current folder."""
    monkeypatch.chdir(tmp_path)

    def make(*names: str) -> None:
        for name in names:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).touch()

    return make


def places(arguments: list[str], output: str, **options: str) -> dict[str, str]:
    return {str(job.picture): str(job.output) for job in list_work(arguments, output, **options).jobs}  # type: ignore[arg-type]


def test_one_picture_becomes_one_file(make: Make) -> None:
    make("a.png")
    assert places(["a.png"], "b.webp") == {"a.png": "b.webp"}


@pytest.mark.parametrize("output", ["out", "out/", "there", "there.jpg"])
def test_one_picture_is_put_into_a_folder(make: Make, output: str) -> None:
    make("a.png", "there/x", "there.jpg/x")
    assert places(["a.png"], output) == {"a.png": str(Path(output, "a.png"))}


def test_several_pictures_are_put_into_a_folder(make: Make) -> None:
    make("a.png", "photos/b.JPG")
    assert places(["a.png", "photos/b.JPG"], "out") == {"a.png": "out/a.png", "photos/b.JPG": "out/b.JPG"}


def test_the_tree_below_a_folder_is_kept(make: Make) -> None:
    make("photos/a.jpg", "photos/2024/b.jpeg", "photos/2024/may/c.webp")
    expected = {"photos/a.jpg": "o/a.jpg", "photos/2024/b.jpeg": "o/2024/b.jpeg"}
    assert places(["photos"], "o") == expected | {"photos/2024/may/c.webp": "o/2024/may/c.webp"}


def test_hidden_files_and_files_that_are_not_pictures_are_left_out_of_a_folder(make: Make) -> None:
    make("photos/a.jpg", "photos/.b.jpg", "photos/.thumbs/c.jpg", "photos/d.txt", "photos/e.txt", "photos/README")
    planned = list_work(["photos"], "out")
    assert [str(job.picture) for job in planned.jobs] == ["photos/a.jpg"]
    assert planned.left_out == {".txt": 2, "": 1}


def test_an_output_folder_below_the_input_is_not_read(make: Make) -> None:
    make("a.jpg", "out/a.jpg", "out/more/b.jpg")
    assert places(["."], "out") == {"a.jpg": "out/a.jpg"}
    assert places(["**/*.jpg"], "out") == {"a.jpg": "out/a.jpg"}


def test_a_quoted_glob_keeps_the_tree_below_its_part_without_wildcards(make: Make) -> None:
    make("photos/a.jpg", "photos/b.png", "photos/2024/c.jpg")
    assert places(["photos/*.jpg"], "o") == {"photos/a.jpg": "o/a.jpg"}
    assert places(["photos/**/*.jpg"], "o") == {"photos/a.jpg": "o/a.jpg", "photos/2024/c.jpg": "o/2024/c.jpg"}
    assert places(["photos/*"], "o") == {"photos/a.jpg": "o/a.jpg", "photos/b.png": "o/b.png"}


def test_an_existing_file_with_brackets_in_its_name_is_not_a_glob(make: Make) -> None:
    make("a[1].jpg", "a1.jpg")
    assert places(["a[1].jpg"], "out/") == {"a[1].jpg": "out/a[1].jpg"}


@pytest.mark.parametrize(
    ("name", "format", "made"),
    [
        ("a.jpeg", "auto", "a.jpeg"),
        ("a.jpeg", "jpeg", "a.jpeg"),
        ("a.PNG", "auto", "a.PNG"),
        ("a.jpg", "webp", "a.webp"),
        ("a.b.jpg", "png", "a.b.png"),
        ("a.gif", "auto", "a.png"),
        ("a.heic", "auto", "a.jpg"),
        ("a.tif", "jpeg", "a.jpg"),
    ],
)
def test_the_output_has_the_suffix_of_its_format(make: Make, name: str, format: str, made: str) -> None:  # noqa: A002
    make(name)
    assert places([name], "out", format=format) == {name: f"out/{made}"}


def test_names_that_would_collide_keep_their_suffix(make: Make) -> None:
    make("photos/IMG_1.heic", "photos/IMG_1.jpg", "photos/IMG_2.HEIC", "photos/IMG_3.jpe", "photos/IMG_3.JPG")
    assert places(["photos"], "out") == {
        "photos/IMG_1.heic": "out/IMG_1.heic.jpg",
        "photos/IMG_1.jpg": "out/IMG_1.jpg",
        "photos/IMG_2.HEIC": "out/IMG_2.jpg",
        "photos/IMG_3.jpe": "out/IMG_3.jpg",
        "photos/IMG_3.JPG": "out/IMG_3.JPG",
    }
    make("more/a.jpg", "more/a.png")
    assert places(["more"], "out", format="webp") == {
        "more/a.jpg": "out/a.jpg.webp",
        "more/a.png": "out/a.png.webp",
    }


@pytest.mark.parametrize(("name", "made"), [("a.jfif", "a.jpg"), ("a.jpe", "a.jpg"), ("a.BMP", "a.png")])
def test_less_usual_suffixes_of_pictures_are_found(make: Make, name: str, made: str) -> None:
    make(f"photos/{name}")
    assert places(["photos"], "out") == {f"photos/{name}": f"out/{made}"}


def test_a_file_that_is_left_out_is_counted_once(make: Make) -> None:
    make("photos/a.jpg", "photos/notes.txt", "photos/out/notes.txt")
    assert list_work(["photos", "photos/*", "photos/**/*.txt", "photos/a.jpg"], "photos/out").left_out == {".txt": 1}


def test_a_folder_that_cannot_be_read_is_told(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    make("photos/a.jpg", "photos/secret/b.jpg")
    scan = os.scandir

    def refuse(path: str) -> object:
        if "secret" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    work = list_work(["photos"], "out")
    assert [str(job.picture) for job in work.jobs] == ["photos/a.jpg"]
    assert work.unreadable == ("photos/secret: Permission denied",)


def test_a_picture_that_is_given_twice_is_made_once(make: Make) -> None:
    make("photos/a.jpg")
    assert places(["photos/a.jpg", "photos"], "out") == {"photos/a.jpg": "out/a.jpg"}


@pytest.mark.parametrize(
    ("arguments", "output", "format", "words"),
    [
        (["a.jpg", "a.png"], "out.jpg", "auto", "give a folder"),
        (["photos"], "out.jpg", "auto", "give a folder"),
        (["a.jpg", "photos/a.jpg"], "out", "auto", "would both become out/a.jpg"),
        (["photos"], "photos", "auto", "would be written to"),
        (["a.jpg"], "out.gif", "auto", "end its name in .jpg, .png"),
        (["a.jpg"], "out.png", "jpeg", "would not be JPEG: end its name in .jpg"),
        (["a.jpg"], "nowhere/out.png", "auto", "there is no folder nowhere"),
        (["empty"], "out", "auto", "there are no pictures and no films in empty"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_beforehand(
    make: Make,
    arguments: list[str],
    output: str,
    format: str,  # noqa: A002
    words: str,
) -> None:
    make("a.jpg", "a.png", "photos/a.jpg", "empty/notes.txt")
    with pytest.raises(ImpastoError, match=words):
        places(arguments, output, format=format)


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("cofee.jpg", "there is no file cofee.jpg .did you mean coffee.jpg"),
        ("*.webp", "no file matches"),
        ("nowhere/a.jpg", "there is no file nowhere/a.jpg"),
    ],
)
def test_an_argument_that_matches_no_file_is_refused(make: Make, argument: str, words: str) -> None:
    make("coffee.jpg")
    with pytest.raises(FileNotFoundError, match=words):
        list_work([argument], "out")


@pytest.mark.parametrize(
    ("name", "made"),
    [("a.mp4", "a.mp4"), ("a.MOV", "a.MOV"), ("a.mkv", "a.mkv"), ("a.webm", "a.webm"), ("a.avi", "a.mp4")],
)
def test_films_are_found_beside_pictures_and_keep_their_kind_of_file_where_it_is_written(
    make: Make, name: str, made: str
) -> None:
    make(f"media/{name}", "media/b.jpg", "media/program.ts")
    assert places(["media"], "out", format="webp") == {"media/b.jpg": "out/b.webp", f"media/{name}": f"out/{made}"}
    assert places([f"media/{name}"], "painted.mp4") == {f"media/{name}": "painted.mp4"}


def test_films_that_would_collide_keep_their_suffix(make: Make) -> None:
    make("media/a.avi", "media/a.mp4")
    assert places(["media"], "out") == {"media/a.avi": "out/a.avi.mp4", "media/a.mp4": "out/a.mp4"}


def test_any_file_may_be_a_film_if_its_output_is_one(make: Make) -> None:
    make("recording.ts")
    (job,) = list_work(["recording.ts"], "painted.mp4").jobs
    assert job.is_film
