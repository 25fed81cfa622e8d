import random

from .steadiness import Sample, growth_percent, more_threads, plot


def samples(growth: float, *, threads: int = 20) -> list[Sample]:
    """Return an hour of samples, whose memory goes up and down by 80 MiB, and grows by a part in all."""
    noise = random.Random(0)  # noqa: S311
    return [Sample(800 * (1 + growth * n / 1800) + noise.uniform(-80, 80), threads) for n in range(1800)]


def test_memory_that_goes_up_and_down_is_flat() -> None:
    assert abs(growth_percent(samples(0))) < 2


def test_a_small_leak_is_seen_behind_the_ups_and_downs() -> None:
    assert growth_percent(samples(0.05)) > 2


def test_memory_that_grows_only_at_first_is_flat() -> None:
    assert abs(growth_percent([Sample(100, 1), Sample(900, 1), *samples(0)])) < 2


def test_pools_that_reach_their_bounds_early_are_no_leak() -> None:
    assert more_threads([Sample(1, 18), Sample(1, 20), Sample(1, 20), Sample(1, 20)]) == 0


def test_threads_that_are_started_without_end_are_seen() -> None:
    assert more_threads([Sample(1, number) for number in range(20, 40)]) == 10


def test_the_plot_shows_when_memory_grew() -> None:
    assert plot([100.0, 100.0, 150.0, 200.0], columns=4) == "100 MiB ▁▁▅█ 200 MiB"
    assert plot([100.0] * 8, columns=2) == "100 MiB ▁▁ 100 MiB"
