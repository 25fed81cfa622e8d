import pytest

from service.engine.share import Share


class Clock:
    """A clock that stands still until it is set forward."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def share(clock: Clock) -> Share:
    return Share(clock)


def test_others_have_no_turn_before_the_large_picture_has_computed_anything(share: Share) -> None:
    assert not share.is_others_turn()


def test_others_get_half_the_seconds_of_the_large_picture(share: Share, clock: Clock) -> None:
    clock.seconds += 1.0
    share.pause()
    clock.seconds += 0.4
    assert share.is_others_turn()
    clock.seconds += 0.2
    assert not share.is_others_turn()


def test_if_others_always_wait_the_large_picture_loses_a_third(share: Share, clock: Clock) -> None:
    for _ in range(1000):
        clock.seconds += 0.05
        while share.is_others_turn():
            share.pause()
            clock.seconds += 0.13
        share.resume()
    assert share.given / (clock.seconds - 100) == pytest.approx(1 / 3, rel=0.01)


def test_what_others_took_too_much_they_wait_for_later(share: Share, clock: Clock) -> None:
    clock.seconds += 0.2
    share.pause()
    clock.seconds += 1.1
    share.resume()
    clock.seconds += 1.9
    assert not share.is_others_turn()
    clock.seconds += 0.2
    assert share.is_others_turn()


def test_others_save_up_a_second_at_most(share: Share, clock: Clock) -> None:
    clock.seconds += 60
    share.pause()
    clock.seconds += 0.9
    assert share.is_others_turn()
    clock.seconds += 0.2
    assert not share.is_others_turn()


def test_the_seconds_that_were_given_are_those_of_all_pauses(share: Share, clock: Clock) -> None:
    for _ in range(2):
        clock.seconds += 5
        share.pause()
        share.pause()
        clock.seconds += 0.5
        share.resume()
        share.resume()
    assert share.given == pytest.approx(1)
