"""The commands `impasto stylize` and `impasto super-resolve` with many pictures."""

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ...command import Done, Impasto
from ...picture_files import plain_png

COMMAND = Path(sys.executable).with_name("impasto")
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
ENVIRONMENT = os.environ | {"IMPASTO_STORE": "nothing-here", "IMPASTO_DEVICE": "cpu"}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Make a folder with a tree of five pictures, one of them broken, and a text file."""
    folder = tmp_path / "photos"
    (folder / "2024").mkdir(parents=True)
    for number, name in enumerate(["a.png", "b.png", "2024/c.png", "2024/d.png"]):
        (folder / name).write_bytes(plain_png(40 + number, width=20 + number))
    (folder / "2024/broken.png").write_bytes(plain_png(7)[:-30])
    (folder / "notes.txt").write_text("beach")
    return folder


def lines_of(done: Done) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Return the JSON lines about pictures, by the picture's name, and the summary."""
    *lines, last = (json.loads(line) for line in done.stdout.splitlines())
    return {Path(line["picture"]).name: line for line in lines}, last["summary"]


def names_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("where", ["here", "server"])
def test_a_folder_is_painted_and_its_bad_picture_is_reported(
    impasto: Impasto, photos: Path, tmp_path: Path, where: str, request: pytest.FixtureRequest
) -> None:
    server = [] if where == "here" else ["--server", request.getfixturevalue("server")]
    done = impasto("stylize", photos, "-o", tmp_path / "out", "--style", "muse", "--json", *server)
    assert done.returncode == 1
    told, summary = lines_of(done)
    assert {name: line["status"] for name, line in told.items()} == {
        **dict.fromkeys(["a.png", "b.png", "c.png", "d.png"], "made"),
        "broken.png": "failed",
    }
    assert told["broken.png"]["kind"] == "BadPicture"
    assert "cut short" in told["broken.png"]["error"]
    assert told["a.png"]["model"] == "muse@1"
    assert set(told["a.png"]["timing"]) == {"decode", "queue", "net", "encode"}
    assert (summary["made"], summary["failed"], summary["left"]) == (4, 1, 0)
    assert summary["left_out"] == {".txt": 1}
    assert names_in(tmp_path / "out") == ["2024/c.png", "2024/d.png", "a.png", "b.png"]
    with Image.open(tmp_path / "out/2024/c.png") as image:
        assert image.size == (22, 16)


@pytest.mark.parametrize("where", ["here", "server"])
def test_a_picture_larger_than_the_size_fails_alone(
    impasto: Impasto, photos: Path, tmp_path: Path, where: str, request: pytest.FixtureRequest
) -> None:
    server = [] if where == "here" else ["--server", request.getfixturevalue("server")]
    (photos / "2024/broken.png").write_bytes(plain_png(7, width=99))
    done = impasto("super-resolve", photos, "-o", tmp_path / "out", "--size", "60", "--json", *server)
    told, summary = lines_of(done)
    assert "ask for size=99 or more" in told["broken.png"]["error"]
    assert (summary["made"], summary["failed"], summary["left"]) == (4, 1, 0)


def test_existing_files_are_skipped_and_the_others_are_made(impasto: Impasto, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.png").write_bytes(b"made before")
    done = impasto("stylize", f"{photos}/*.png", "-o", out, "--style", "muse")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{out}/b.png: muse@1")
    assert "1 made" in done.stdout
    assert "1 were there already" in done.stdout
    assert (out / "a.png").read_bytes() == b"made before"
    again = impasto("stylize", f"{photos}/*.png", "-o", out, "--style", "muse", "--overwrite", "--format", "png")
    assert "2 made" in again.stdout
    assert (out / "a.png").read_bytes() != b"made before"


def test_an_existing_output_of_a_single_picture_is_left_as_it_is(impasto: Impasto, photos: Path) -> None:
    done = impasto("stylize", photos / "a.png", "-o", photos / "b.png", "--style", "muse")
    assert done.returncode == 0
    assert "is there already: --overwrite" in done.stdout


def test_pictures_that_failed_are_listed_at_the_end(impasto: Impasto, photos: Path, tmp_path: Path) -> None:
    done = impasto("stylize", photos, "-o", tmp_path / "out", "--style", "muse")
    assert done.returncode == 1
    end = done.stderr.splitlines()[-3:]
    assert end[0] == "not made:"
    assert "broken.png: " in end[1]
    assert "4 made" in end[2]
    assert "1 failed" in end[2]


@pytest.mark.process
@pytest.mark.parametrize("options", [[], ["--format", "webp"]])
def test_a_picture_goes_from_standard_input_to_standard_output(options: list[str]) -> None:
    command = [COMMAND, "stylize", "-", "-o", "-", "--style", "muse", *options]
    done = subprocess.run(command, input=plain_png(40), capture_output=True, env=ENVIRONMENT, check=True)
    with Image.open(io.BytesIO(done.stdout)) as image:
        assert (image.format, image.size) == ("WEBP" if options else "PNG", (20, 16))
    assert b"muse@1" in done.stderr


@pytest.mark.process
def test_a_broken_picture_on_standard_input_writes_nothing_and_fails() -> None:
    command = [COMMAND, "stylize", "-", "-o", "-", "--style", "muse"]
    done = subprocess.run(command, input=plain_png(40)[:-30], capture_output=True, env=ENVIRONMENT, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"cut short" in done.stderr


def test_standard_input_stands_for_one_picture(impasto: Impasto, photos: Path) -> None:
    done = impasto("stylize", "-", photos, "-o", "-", "--style", "muse")
    assert done.returncode == 1
    assert "give no others" in done.stderr


@pytest.mark.process
def test_torch_is_not_imported_when_there_is_nothing_to_do(photos: Path) -> None:
    """Importing torch alone would take seconds."""
    command = ["stylize", str(photos / "a.png"), "-o", str(photos / "b.png"), "--style", "muse"]
    assert "torch" not in modules_after(*command)


@pytest.mark.process
def test_pictures_made_by_a_server_need_no_torch_here(photos: Path, tmp_path: Path, server: str) -> None:
    command = ["super-resolve", str(photos / "a.png"), "-o", str(tmp_path / "large.webp"), "--server", server]
    modules = modules_after(*command)
    assert modules.isdisjoint({"torch", "numpy", "PIL"})
    with Image.open(tmp_path / "large.webp") as image:
        assert (image.size, image.format) == ((80, 64), "WEBP")


def modules_after(*arguments: str) -> set[str]:
    """Return the names of the modules that the command has imported when it ends."""
    program = (
        "import sys, typer; from service.cli import app; app(sys.argv[1:], standalone_mode=False);"
        "print('|' + ' '.join(sys.modules))"
    )
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=ENVIRONMENT)
    return set(done.stdout.rpartition("|")[2].split())


@pytest.mark.parametrize("where", ["here", "server"])
def test_an_unknown_style_ends_the_command_at_once_with_a_suggestion(
    impasto: Impasto, photos: Path, tmp_path: Path, where: str, request: pytest.FixtureRequest
) -> None:
    server = [] if where == "here" else ["--server", request.getfixturevalue("server")]
    done = impasto("stylize", photos, "-o", tmp_path / "out", "--style", "grate-wave", *server)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("impasto: ")
    assert "did you mean great-wave?" in last
    assert "known: candy" in last
    assert not (tmp_path / "out").exists()


def test_a_missing_server_is_reported_once(impasto: Impasto, photos: Path, tmp_path: Path) -> None:
    done = impasto("stylize", photos, "-o", tmp_path / "out", "--style", "muse", "--server", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr.count("impasto: ") == 1
    assert "no answer from http://127.0.0.1:9" in done.stderr
    assert "5 left" in done.stderr


@pytest.mark.process
def test_an_interrupted_command_says_what_is_left_and_the_next_one_makes_it(impasto: Impasto, tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for number in range(2000):  # minutes of work
        (photos / f"{number:04}.png").write_bytes(plain_png(90, 160, 160))
    command = [COMMAND, "stylize", photos, "-o", out, "--style", "muse", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=120)
    assert first["status"] == "made"
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    stopped = json.loads(rest.splitlines()[-1])["summary"]
    assert stopped["left"] > 0
    assert stopped["made"] + stopped["left"] == 2000
    for path in out.rglob("*"):
        assert path.suffix == ".png"
        Image.open(path).load()
    enough = stopped["made"] + 20
    for photo in sorted(photos.iterdir())[enough:]:
        photo.unlink()
    done = impasto(*command[1:])
    assert done.returncode == 0, done.stderr
    _, summary = lines_of(done)
    assert summary["skipped"] >= stopped["made"]
    assert summary["made"] > 0
    assert summary["made"] + summary["skipped"] == enough
    assert len(names_in(out)) == enough


@pytest.mark.process
def test_the_progress_bar_is_shown_only_on_a_terminal(
    impasto: Impasto, photos: Path, tmp_path: Path, server: str
) -> None:
    command = [COMMAND, "stylize", photos, "-o", tmp_path / "out", "--style", "muse", "--server", server]
    with on_terminal(command) as (_, terminal):
        shown = read_until(terminal)
    assert "5/5" in shown
    assert "broken.png: 422" in shown
    piped = impasto(*command[1:], "--overwrite")
    assert "5/5" not in piped.stderr


@pytest.mark.process
@pytest.mark.parametrize("command", [["stylize", "--style", "muse"], ["super-resolve"]])
@pytest.mark.parametrize("others", [0, 1])
def test_a_large_picture_has_a_progress_bar_and_ends_within_a_second_of_ctrl_c(
    tmp_path: Path, command: list[str], others: int
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "large.png").write_bytes(plain_png(90, 2000, 1800))
    for number in range(others):
        (photos / f"{number}.png").write_bytes(plain_png(90))
    words = [COMMAND, *command, photos, "-o", tmp_path / "out", "--format", "png"]
    with on_terminal(words) as (process, terminal):
        shown = read_until(terminal, "large.png .*0%")
        time.sleep(0.5)  # into the first piece
        process.send_signal(signal.SIGINT)
        interrupted = time.monotonic()
        shown += read_until(terminal)
        code = process.wait(60)
        seconds = time.monotonic() - interrupted
    assert code == 130
    assert seconds < 3  # of which one is for a busy machine
    assert "Traceback" not in shown
    assert ("left" in shown) is bool(others)
    assert shown.rindex(SHOW_CURSOR) > shown.rindex(HIDE_CURSOR)
    assert "large.png" not in names_in(tmp_path / "out")
    assert not [name for name in names_in(tmp_path) if name.endswith(".part")]


@contextlib.contextmanager
def on_terminal(command: Sequence[str | Path]) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a command whose stderr is a terminal; yield its process, and the other side of the terminal to read."""
    ours, theirs = os.openpty()
    environment = ENVIRONMENT | {"TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs, env=environment)
    os.close(theirs)
    try:
        yield process, ours
    finally:
        os.close(ours)
        process.kill()
        process.wait()


def read_until(terminal: int, expected: str | None = None) -> str:
    """Read what a command shows until it matches a regular expression, or until the command ends."""
    shown = b""
    try:
        while not (expected and re.search(expected, shown.decode(errors="replace"))):
            part = os.read(terminal, 65536)
            if not part:
                break
            shown += part
    except OSError:  # a pseudo-terminal ends with an error when its other side is closed
        pass
    return shown.decode(errors="replace")


# Completion


@pytest.mark.parametrize(("typed", "completed"), [("great", "great-wave"), ("muse:0.7,great", "muse:0.7,great-wave")])
def test_the_shell_completes_styles(impasto: Impasto, typed: str, completed: str) -> None:
    words = f"impasto stylize a.jpg --style {typed}"
    done = impasto(_IMPASTO_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS=words)
    assert completed in done.stdout.replace("\\", "")  # zsh gets special characters escaped


@pytest.mark.process
def test_completion_needs_no_torch() -> None:
    program = "import sys; from service.cli import pictures as p; print(p.complete_style('mu'), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=ENVIRONMENT)
    assert done.stdout.strip() == "['muse'] False"


@pytest.mark.parametrize(("typed", "meant"), [(("stylise",), "stylize"), (("stylize", "--styel", "x"), "--style")])
def test_a_mistyped_command_or_option_gets_a_suggestion(impasto: Impasto, typed: tuple[str, ...], meant: str) -> None:
    done = impasto(*typed)
    assert done.returncode == 2
    assert meant in done.stderr
