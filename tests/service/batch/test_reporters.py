"""What people see of a batch on a terminal."""

import io
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from service.batch.batch import MadeFilm, Summary
from service.batch.reporters import TextReporter
from service.batch.work_list import PictureJob, WorkList
from service.client.answer import Answer

LARGE = PictureJob(Path("photos/large.jpg"), Path("out/large.jpg"))
SMALL = PictureJob(Path("photos/small.jpg"), Path("out/small.jpg"))
FILM = PictureJob(Path("films/ducks.mp4"), Path("out/ducks.mp4"))
ANSWER = Answer(b"", "image/jpeg", "muse@1", "", {"net": 1000.0})


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def open_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Make stderr a terminal. No fixture does it, because pytest sets stderr again after those."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    return terminal


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("service.batch.reporters.time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_the_bar_of_a_large_picture_shows_its_share_and_the_time_left(
    monkeypatch: pytest.MonkeyPatch, clock: SimpleNamespace
) -> None:
    terminal = open_terminal(monkeypatch)
    reporter = TextReporter(WorkList([LARGE], Counter()), io.StringIO())
    reporter.started(1)
    reporter.progressed(LARGE.picture, 0.0)
    clock.now = 100
    reporter.progressed(LARGE.picture, 0.25)
    clock.now = 110
    reporter.ended(Summary(0, 0, 0, 1, 110))
    last = terminal.getvalue().rpartition("large.jpg")[2]
    assert " 25%" in last
    assert "0:04:50" in last


def test_several_pictures_have_a_bar_for_all_and_one_for_each_large_one(
    monkeypatch: pytest.MonkeyPatch, clock: SimpleNamespace
) -> None:
    terminal = open_terminal(monkeypatch)
    reporter = TextReporter(WorkList([SMALL, LARGE], Counter()), io.StringIO())
    reporter.started(2)
    reporter.finished(SMALL, ANSWER)
    reporter.progressed(LARGE.picture, 0.5)
    clock.now = 1
    reporter.ended(Summary(1, 0, 0, 1, 1))
    lines = terminal.getvalue().rpartition("1/2")
    assert lines[1] == "1/2"
    assert "large.jpg" in lines[2]


def test_the_only_picture_has_no_bar_unless_it_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    out = io.StringIO()
    reporter = TextReporter(WorkList([SMALL], Counter()), out)
    reporter.started(1)
    reporter.finished(SMALL, ANSWER)
    reporter.ended(Summary(1, 0, 0, 0, 1))
    assert terminal.getvalue() == ""
    assert out.getvalue() == "out/small.jpg: muse@1, 1.0 s\n"


def test_progress_that_comes_after_the_end_shows_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    reporter = TextReporter(WorkList([LARGE], Counter()), io.StringIO())
    reporter.started(1)
    reporter.ended(Summary(0, 0, 0, 1, 1))
    reporter.progressed(LARGE.picture, 0.5)
    assert terminal.getvalue() == ""


def test_without_a_terminal_no_progress_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = io.StringIO()
    monkeypatch.setattr(sys, "stderr", errors)
    reporter = TextReporter(WorkList([LARGE], Counter()), io.StringIO())
    reporter.started(1)
    reporter.progressed(LARGE.picture, 0.5)
    reporter.finished(LARGE, ANSWER)
    assert errors.getvalue() == ""


def test_the_bar_of_a_film_shows_its_frames_how_many_a_second_and_the_time_left(
    monkeypatch: pytest.MonkeyPatch, clock: SimpleNamespace
) -> None:
    terminal = open_terminal(monkeypatch)
    reporter = TextReporter(WorkList([FILM], Counter()), io.StringIO())
    reporter.started(1)
    for frame in range(101, 121):  # an earlier run made 100
        clock.now += 0.5
        reporter.filmed(FILM, frame, 250)
    reporter.ended(Summary(0, 0, 0, 1, 10))
    last = terminal.getvalue().rpartition("ducks.mp4")[2]
    assert "120/250" in last
    assert "2.0/s" in last
    assert "0:01:05" in last


def test_a_made_film_is_told_with_what_it_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    out = io.StringIO()
    reporter = TextReporter(WorkList([FILM], Counter()), out)
    reporter.finished(FILM, MadeFilm("muse@1", 250, 250, 125.0, ("2 broken frames were skipped",)))
    assert out.getvalue() == "out/ducks.mp4: muse@1, 250 frames in 125.0 s (2.0 a second)\n"
    assert capsys.readouterr().err == "films/ducks.mp4: 2 broken frames were skipped\n"
