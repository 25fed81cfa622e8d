"""The line that shows the progress of a measurement."""

from service.bench.progress_line import ProgressLine
from service.bench.tally import LoadProgress


def test_the_line_has_the_rate_of_the_last_seconds() -> None:
    line = ProgressLine()
    for second in range(10):
        line.describe(LoadProgress(False, second, good=0, shed=0, failed=0, in_flight=8))
    described = line.describe(LoadProgress(False, 10, good=60, shed=5, failed=0, in_flight=8))
    assert described == "measuring 10 s  60 done  20.0 pictures/s  8 in flight  5 shed"


def test_the_rate_of_the_warm_up_does_not_count_when_measuring() -> None:
    line = ProgressLine()
    line.describe(LoadProgress(True, 2, good=500, shed=0, failed=0, in_flight=8))
    line.describe(LoadProgress(False, 0, good=0, shed=0, failed=0, in_flight=8))
    described = line.describe(LoadProgress(False, 1, good=7, shed=0, failed=1, in_flight=8))
    assert described == "measuring 1 s  7 done  7.0 pictures/s  8 in flight  0 shed  1 failed"
