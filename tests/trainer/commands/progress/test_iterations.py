"""The progress of an optimisation, shown on the terminal."""

import itertools
from collections.abc import Iterator

import pytest
import torch

from trainer.baselines.gatys import Iteration
from trainer.commands.progress import iterations as module
from trainer.commands.progress.iterations import follow


def falling(total: int, interrupted_at: int | None = None) -> Iterator[Iteration]:
    for number in range(total + 1):
        if number == interrupted_at:
            raise KeyboardInterrupt
        yield Iteration(number, 2.0**-number, torch.zeros(1, 3, 2, 2))


def test_every_iteration_is_seen() -> None:
    seen: list[int] = []
    best, number, is_stopped = follow(falling(5), 5, "out.png", lambda iteration: seen.append(iteration.number))
    assert (best.number, number) == (5, 5)
    assert not is_stopped
    assert seen == [0, 1, 2, 3, 4, 5]


def test_the_outcome_is_the_best_and_not_the_last() -> None:
    leap = Iteration(6, 100.0, torch.zeros(1, 3, 2, 2))
    best, number, _ = follow(itertools.chain(falling(5), [leap]), 6, "out.png")
    assert (best.number, number) == (5, 6)


def test_ctrl_c_keeps_the_best_picture_so_far() -> None:
    best, number, is_stopped = follow(falling(5, interrupted_at=3), 5, "out.png")
    assert (best.number, number) == (2, 2)
    assert is_stopped


def test_ctrl_c_before_the_first_iteration_is_passed_on() -> None:
    with pytest.raises(KeyboardInterrupt):
        follow(falling(5, interrupted_at=0), 5, "out.png")


def test_without_a_terminal_a_line_is_printed_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_LINES", 0.0)
    follow(falling(2), 2, "[out].png")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"[out].png: iteration {number}/2, objective {2.0**-number:.4g}" for number in range(3)]


def test_without_a_terminal_a_short_run_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    follow(falling(2), 2, "out.png")
    assert not capsys.readouterr().err
