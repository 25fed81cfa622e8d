import threading

import pytest
import torch

from service.inference.cpu import bands


@pytest.mark.parametrize(("rows", "parts"), [(10, 1), (10, 3), (7, 2), (2, 5), (1, 1)])
def test_bands_cover_all_rows_in_order_and_none_is_empty(rows: int, parts: int) -> None:
    split = bands.split(rows, parts)
    assert [row for band in split for row in range(rows)[band]] == list(range(rows))
    assert all(band.start < band.stop for band in split)
    assert len(split) == min(rows, parts)


def test_bands_are_of_nearly_the_same_length() -> None:
    lengths = [band.stop - band.start for band in bands.split(17, 4)]
    assert max(lengths) - min(lengths) <= 1


def test_results_are_in_the_order_of_the_bands() -> None:
    assert bands.compute(lambda number: number**2, [3, 1, 2], 2) == [9, 1, 4]


def test_two_bands_are_computed_at_the_same_time_and_the_first_on_the_calling_thread() -> None:
    together = threading.Barrier(2)

    def work(_: int) -> str:
        together.wait(30)
        return threading.current_thread().name

    first, second = bands.compute(work, [0, 1], 2)
    assert first == threading.current_thread().name != second


def test_gradients_are_off_in_every_band() -> None:
    assert bands.compute(lambda _: torch.is_inference_mode_enabled(), [0, 1], 2) == [True, True]


@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_in_a_band_is_raised(failing: int) -> None:
    def work(number: int) -> None:
        if number == failing:
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        bands.compute(work, [0, 1], 2)
