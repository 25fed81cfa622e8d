import hashlib
import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from ...command import Done, Impasto
from ..stores import Publish


@pytest.fixture
def picture(tmp_path: Path, photo_png: bytes) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(photo_png)
    return path


def assert_refused(done: Done, *words: str) -> None:
    """Check that a command failed with one line on stderr, which has these words."""
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("impasto: ")
    assert done.stderr.count("\n") == 1
    assert all(word in done.stderr for word in words)


def test_a_photo_is_painted(impasto: Impasto, picture: Path, photo: Image.Image, tmp_path: Path) -> None:
    painted = tmp_path / "painted.webp"
    done = impasto("stylize", picture, "--style", "muse", "--output", painted)
    assert done.returncode == 0, done.stderr
    assert "painted.webp: muse@1" in done.stdout
    with Image.open(painted) as image:
        assert (image.size, image.format) == (photo.size, "WEBP")


def test_a_picture_is_enlarged(impasto: Impasto, picture: Path, photo: Image.Image, tmp_path: Path) -> None:
    enlarged = tmp_path / "large.jpg"
    done = impasto("super-resolve", picture, "--factor", "4", "-o", enlarged)
    assert done.returncode == 0, done.stderr
    assert "large.jpg: x4-pixel@" in done.stdout
    with Image.open(enlarged) as image:
        assert (image.size, image.format) == ((4 * photo.width, 4 * photo.height), "JPEG")


def test_a_picture_is_enlarged_to_a_size(impasto: Impasto, picture: Path, tmp_path: Path) -> None:
    done = impasto("super-resolve", picture, "--size", "100", "-o", tmp_path / "large.png")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "large.png") as image:
        assert max(image.size) == 100


@pytest.mark.parametrize("other", [("--scale", "3"), ("--size", "100")])
def test_only_one_option_says_how_much_to_enlarge(
    impasto: Impasto, picture: Path, tmp_path: Path, other: tuple[str, str]
) -> None:
    done = impasto("super-resolve", picture, "--factor", "4", *other, "-o", tmp_path / "large.png")
    assert_refused(done, f"factor and {other[0].strip('-')} each say how much to enlarge")


def test_match_histogram_changes_an_enlargement(impasto: Impasto, picture: Path, tmp_path: Path) -> None:
    plainly, matched = tmp_path / "plainly.png", tmp_path / "matched.png"
    assert impasto("super-resolve", picture, "-o", plainly).returncode == 0
    done = impasto("super-resolve", picture, "-o", matched, "--match-histogram")
    assert done.returncode == 0, done.stderr
    assert matched.read_bytes() != plainly.read_bytes()


def test_self_ensemble_changes_an_enlargement(impasto: Impasto, picture: Path, tmp_path: Path) -> None:
    plainly, mean = tmp_path / "plainly.png", tmp_path / "mean.png"
    assert impasto("super-resolve", picture, "-o", plainly).returncode == 0
    done = impasto("super-resolve", picture, "-o", mean, "--self-ensemble")
    assert done.returncode == 0, done.stderr
    assert mean.read_bytes() != plainly.read_bytes()


def test_a_blurred_picture_is_enlarged_by_the_net_for_it(
    impasto: Impasto, picture: Path, publish: Publish, tmp_path: Path
) -> None:
    publish("super-resolve", "x4-pixel-blurred", factor=4)
    command = ("super-resolve", picture, "--factor", "4", "--blurred", "-o", tmp_path / "large.png")
    assert "large.png: x4-pixel-blurred@1" in impasto(*command, IMPASTO_STORE=str(tmp_path)).stdout


def test_a_blurred_picture_needs_a_net_for_it(impasto: Impasto, picture: Path, tmp_path: Path) -> None:
    done = impasto("super-resolve", picture, "--blurred", "--factor", "64", "-o", tmp_path / "large.png")
    assert_refused(done, "x64-pixel-blurred", "for blurred pictures")


def test_a_photo_is_painted_in_a_blend_of_styles(
    impasto: Impasto, picture: Path, publish: Publish, tmp_path: Path
) -> None:
    publish("stylize", "one")
    publish("stylize", "two")
    command = ("stylize", picture, "--style", "one:0.7,two:0.3", "-o", tmp_path / "painted.png")
    assert "painted.png: one@1:0.7,two@1:0.3" in impasto(*command, IMPASTO_STORE=str(tmp_path)).stdout


def test_a_picture_is_enlarged_with_less_fidelity(impasto: Impasto, picture: Path, tmp_path: Path) -> None:
    done = impasto("super-resolve", picture, "--factor", "4", "--fidelity", "0.6", "-o", tmp_path / "large.png")
    assert re.search(r"large\.png: x4-pixel@\d+:0\.6,x4-feature@\d+:0\.4", done.stdout)


def test_a_blurred_picture_is_not_enlarged_with_less_fidelity(impasto: Impasto, picture: Path, tmp_path: Path) -> None:
    done = impasto("super-resolve", picture, "--blurred", "--fidelity", "0.5", "-o", tmp_path / "large.png")
    assert_refused(done, "leave out blurred or fidelity")


def test_an_unknown_style_is_refused_with_the_known_styles(impasto: Impasto, picture: Path, tmp_path: Path) -> None:
    done = impasto("stylize", picture, "--style", "nope", "-o", tmp_path / "painted.png")
    assert_refused(done, "'nope'", "known: candy, composition-vii")
    assert not (tmp_path / "painted.png").exists()


def test_an_unknown_factor_is_refused_with_the_known_factors(impasto: Impasto, picture: Path, tmp_path: Path) -> None:
    assert_refused(impasto("super-resolve", picture, "--factor", "3", "-o", tmp_path / "large.png"), "factors: 4")


def test_a_suffix_of_a_format_that_cannot_be_written_is_refused(
    impasto: Impasto, picture: Path, tmp_path: Path
) -> None:
    done = impasto("stylize", picture, "--style", "muse", "-o", tmp_path / "painted.gif")
    assert_refused(done, "painted.gif", ".jpg, .png, .webp or .avif")


def test_a_broken_picture_is_refused(impasto: Impasto, picture: Path, photo_png: bytes, tmp_path: Path) -> None:
    picture.write_bytes(photo_png[:-60])
    assert_refused(impasto("stylize", picture, "--style", "muse", "-o", tmp_path / "painted.png"), "cut short")


def test_an_output_folder_that_does_not_exist_is_refused(impasto: Impasto, picture: Path, tmp_path: Path) -> None:
    output = tmp_path / "nowhere" / "painted.png"
    assert_refused(impasto("stylize", picture, "--style", "muse", "-o", output), "nowhere")


@pytest.mark.parametrize(
    "arguments",
    [["stylize", "nothing.png", "--style", "muse", "-o", "a.png"], ["stylize"], ["super-resolve", "--factor", "big"]],
)
def test_a_wrong_command_line_is_refused_with_its_usage(impasto: Impasto, arguments: list[str]) -> None:
    done = impasto(*arguments)
    assert done.returncode == 2
    assert "Usage: impasto" in done.stderr


@pytest.mark.parametrize("command", ["serve", "stylize"])
@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("IMPASTO_MAX_PIXELS", "many", ("IMPASTO_MAX_PIXELS", "integer", "'many'")),
        ("IMPASTO_DEVICE", "tpu", ("IMPASTO_DEVICE", "'cpu'", "'cuda'", "'tpu'")),
        pytest.param(
            *("IMPASTO_DEVICE", "cuda", ("IMPASTO_DEVICE", "no CUDA device")),
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device"),
        ),
    ],
)
def test_an_invalid_setting_is_refused_at_the_start(
    impasto: Impasto, picture: Path, tmp_path: Path, command: str, setting: str, value: str, words: tuple[str, ...]
) -> None:
    arguments = ("--port", "0") if command == "serve" else (picture, "--style", "muse", "-o", tmp_path / "out.png")
    assert_refused(impasto(command, *arguments, **{setting: value}), *words)


def test_a_new_key_is_shown_with_its_entry_for_the_server(impasto: Impasto) -> None:
    done = impasto("keys", "new", "shop", "--concurrency", "4")
    assert done.returncode == 0, done.stderr
    (key_word, key), (entry_word, entry) = (line.split() for line in done.stdout.splitlines())
    assert (key_word, entry_word) == ("key", "entry")
    assert entry == f"shop:{hashlib.sha256(key.encode()).hexdigest()}:4"


def test_api_keys_that_cannot_be_read_stop_the_server_with_advice(impasto: Impasto) -> None:
    assert_refused(impasto("serve", IMPASTO_API_KEYS="my-secret"), "IMPASTO_API_KEYS", "impasto keys new")
