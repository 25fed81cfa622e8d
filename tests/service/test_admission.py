from contextlib import ExitStack

import pytest

from service.admission import Admission
from service.problems import Busy


def test_as_many_as_the_limit_are_admitted_and_no_more() -> None:
    admission = Admission(limit=3)
    with ExitStack() as held:
        for _ in range(3):
            held.enter_context(admission.admit())
        with pytest.raises(Busy), admission.admit():
            pass


def test_who_is_refused_is_told_when_to_come_back() -> None:
    admission = Admission(limit=1)
    with admission.admit(), pytest.raises(Busy) as refusal, admission.admit():
        pass
    assert refusal.value.retry_after is not None
    assert refusal.value.retry_after >= 1


def test_the_time_to_come_back_is_bounded_once_answers_have_been_given() -> None:
    admission = Admission(limit=2)
    for _ in range(10):
        with admission.admit():
            pass
    with admission.admit(), admission.admit(), pytest.raises(Busy) as refusal, admission.admit():
        pass
    assert refusal.value.retry_after in range(1, 61)


def test_idle_time_does_not_count_as_slowness(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    admission = Admission(limit=4)
    with admission.admit():
        now += 0.5
    now += 3600
    with ExitStack() as held:
        for _ in range(4):
            held.enter_context(admission.admit())
        now += 0.5
        with pytest.raises(Busy) as refusal, admission.admit():
            pass
    assert refusal.value.retry_after == 1


def test_who_is_refused_by_a_slow_server_is_told_to_wait_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    admission = Admission(limit=4)
    with ExitStack() as held:
        held.enter_context(admission.admit())
        for _ in range(3):
            with admission.admit():
                now += 2
        for _ in range(3):
            held.enter_context(admission.admit())
        with pytest.raises(Busy) as refusal, admission.admit():
            pass
    assert refusal.value.retry_after == 8


def test_a_place_is_free_again_after_an_answer() -> None:
    admission = Admission(limit=1)
    for _ in range(3):
        with admission.admit():
            pass


def test_a_place_is_free_again_after_an_error() -> None:
    admission = Admission(limit=1)
    for _ in range(3):
        with pytest.raises(ValueError, match="broken"), admission.admit():
            raise ValueError("broken")


def test_being_refused_takes_no_place() -> None:
    admission = Admission(limit=1)
    with admission.admit():
        for _ in range(3):
            with pytest.raises(Busy), admission.admit():
                pass
    with admission.admit():
        pass
