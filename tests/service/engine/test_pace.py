"""The pace of a device, from which the seconds of a picture are known beforehand."""

import pytest

from model_store.nets import StyleNet, TransformNet
from service.engine.pace import Pace


@pytest.fixture
def net() -> TransformNet:
    return StyleNet(width=8)


def test_nothing_is_known_of_a_net_that_has_computed_nothing(net: TransformNet) -> None:
    pace = Pace()
    pace.record(StyleNet(width=4), 65_536, 1, 1.0)
    assert pace.seconds(net, 65_536) is None


def test_the_seconds_grow_with_the_pixels(net: TransformNet) -> None:
    pace = Pace()
    pace.record(net, 65_536, 1, 0.1)
    assert pace.seconds(net, 10 * 65_536) == pytest.approx(1.0)


def test_a_batch_counts_by_its_pictures(net: TransformNet) -> None:
    pace = Pace()
    pace.record(net, 65_536, 4, 0.2)
    assert pace.seconds(net, 65_536) == pytest.approx(0.05)


def test_the_fastest_batch_counts(net: TransformNet) -> None:
    pace = Pace()
    for seconds in (0.3, 0.1, 0.2):
        pace.record(net, 65_536, 1, seconds)
    assert pace.seconds(net, 65_536) == pytest.approx(0.1)


def test_pictures_of_about_the_same_size_count_more_than_others(net: TransformNet) -> None:
    pace = Pace()
    pace.record(net, 65_536, 1, 0.1)
    pace.record(net, 6_553_600, 1, 20.0)
    assert pace.seconds(net, 2 * 6_553_600) == pytest.approx(40.0)


def test_equal_architectures_share_what_is_known(net: TransformNet) -> None:
    pace = Pace()
    pace.record(net, 65_536, 1, 0.1)
    assert pace.seconds(StyleNet(width=8), 65_536) == pytest.approx(0.1)
