from contextlib import ExitStack, suppress

import pytest

from service.contract.problems import Busy
from service.server.limits.admission import Admission
from service.server.limits.api_keys import Key


class Clock:
    """A clock that stands still unless it is moved on."""

    now = 0.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("time.monotonic", lambda: clock.now)
    return clock


def answer(admission: Admission, pixels: int, clock: Clock, seconds: float) -> None:
    """Admit a picture of so many pixels, and finish it in so many seconds."""
    with admission.hold_pixels(pixels):
        clock.now += seconds


def fail(admission: Admission, pixels: int) -> None:
    """Admit a picture of so many pixels, whose work fails."""
    with suppress(ValueError), admission.hold_pixels(pixels):
        raise ValueError("broken")


def retry_after(admission: Admission, pixels: int) -> int:
    """Return the seconds that one more request, with so many pixels, is told to wait."""
    with pytest.raises(Busy) as refusal, admission.admit(), admission.hold_pixels(pixels):
        pass
    assert refusal.value.retry_after is not None
    assert f"again in {refusal.value.retry_after} s" in refusal.value.detail
    return refusal.value.retry_after


# Requests


def test_as_many_as_the_limit_are_admitted_and_no_more() -> None:
    admission = Admission(3, 1000)
    with ExitStack() as held:
        for _ in range(3):
            held.enter_context(admission.admit())
        with pytest.raises(Busy), admission.admit():
            pass


def test_a_place_is_free_again_after_an_answer() -> None:
    admission = Admission(1, 1000)
    for _ in range(3):
        with admission.admit():
            pass


def test_a_place_is_free_again_after_an_error() -> None:
    admission = Admission(1, 1000)
    for _ in range(3):
        with pytest.raises(ValueError, match="broken"), admission.admit():
            raise ValueError("broken")


def test_a_refused_request_takes_no_place() -> None:
    admission = Admission(1, 1000)
    with admission.admit():
        for _ in range(3):
            with pytest.raises(Busy), admission.admit():
                pass
    with admission.admit():
        pass


# API keys


def test_each_key_has_as_many_places_as_its_concurrency() -> None:
    admission = Admission(5, 1000)
    key, other, unlimited = Key("a", "", 2), Key("b", "", 1), Key("c", "")
    with admission.admit(key), admission.admit(key), admission.admit(other), admission.admit(unlimited):
        for full in (key, other):
            with pytest.raises(Busy, match=f"of the key '{full.name}'"), admission.admit(full):
                pass
        with admission.admit(unlimited), pytest.raises(Busy, match="5 requests"), admission.admit(unlimited):
            pass
    with admission.admit(key), admission.admit(key):
        pass


# Pixels


def test_as_many_pixels_as_the_limit_are_admitted_and_no_more() -> None:
    admission = Admission(10, 1000)
    with ExitStack() as held:
        held.enter_context(admission.hold_pixels(600))
        held.enter_context(admission.hold_pixels(400))
        with pytest.raises(Busy, match="1,000 pixels are in flight, and 1 more"), admission.hold_pixels(1):
            pass


def test_one_picture_is_always_admitted_alone() -> None:
    admission = Admission(10, 1000)
    with admission.hold_pixels(5000), pytest.raises(Busy), admission.hold_pixels(1):
        pass


def test_pixels_are_free_again_after_an_answer() -> None:
    admission = Admission(10, 1000)
    with admission.hold_pixels(1):
        for _ in range(3):
            with admission.hold_pixels(999):
                pass


def test_pixels_are_free_again_after_an_error() -> None:
    admission = Admission(10, 1000)
    with admission.hold_pixels(1):
        for _ in range(3):
            fail(admission, 999)
        with admission.hold_pixels(999):
            pass


def test_a_refused_picture_takes_no_pixels() -> None:
    admission = Admission(10, 1000)
    with admission.hold_pixels(500):
        for _ in range(3):
            with pytest.raises(Busy), admission.hold_pixels(501):
                pass
        with admission.hold_pixels(500):
            pass


# When to try again


def test_a_client_refused_before_the_first_answer_waits_a_second() -> None:
    admission = Admission(1, 1000)
    with admission.hold_pixels(1000):
        assert retry_after(admission, 1) == 1


def test_a_refused_client_waits_as_long_as_the_pixels_in_flight_take(clock: Clock) -> None:
    admission = Admission(10, 1000)
    answer(admission, 200, clock, seconds=2)
    with admission.hold_pixels(300):
        assert retry_after(admission, 701) == 3
        with admission.hold_pixels(700):
            assert retry_after(admission, 1) == 10


@pytest.mark.parametrize("pixels", [100, 400])
def test_a_client_refused_for_lack_of_places_waits_for_the_pixels_too(clock: Clock, pixels: int) -> None:
    admission = Admission(1, 1000)
    answer(admission, 100, clock, seconds=2)
    with admission.admit(), admission.hold_pixels(pixels):
        assert retry_after(admission, 0) == pixels // 50


def test_the_time_of_pictures_finished_side_by_side_counts_once(clock: Clock) -> None:
    admission = Admission(3, 1000)
    with admission.hold_pixels(100), admission.hold_pixels(100):
        clock.now += 4
    with admission.hold_pixels(500):
        assert retry_after(admission, 501) == 10


def test_idle_time_does_not_count_as_slowness(clock: Clock) -> None:
    admission = Admission(10, 1000)
    answer(admission, 100, clock, seconds=1)
    clock.now += 3600
    answer(admission, 100, clock, seconds=1)
    with admission.hold_pixels(500):
        assert retry_after(admission, 501) == 5


def test_failed_work_does_not_count_as_work_done(clock: Clock) -> None:
    admission = Admission(10, 1000)
    answer(admission, 100, clock, seconds=1)
    fail(admission, 1000)
    with admission.hold_pixels(500):
        assert retry_after(admission, 501) == 5


def test_old_answers_are_forgotten(clock: Clock) -> None:
    admission = Admission(10, 1000)
    answer(admission, 100, clock, seconds=3600)
    for _ in range(100):
        answer(admission, 100, clock, seconds=1)
    with admission.hold_pixels(500):
        assert retry_after(admission, 501) == 5


@pytest.mark.parametrize(("seconds", "told"), [(0.0, 1), (0.001, 1), (1e6, 60)])
def test_a_refused_client_waits_between_a_second_and_a_minute(clock: Clock, seconds: float, told: int) -> None:
    admission = Admission(10, 1000)
    answer(admission, 100, clock, seconds)
    with admission.hold_pixels(1000):
        assert retry_after(admission, 1) == told
