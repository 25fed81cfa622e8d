"""What came back, as columns of numbers, which are small, quick to add to and easily merged."""

import re
from array import array
from collections import Counter
from typing import NamedTuple

_STAGE = re.compile(r"([\w-]+)(?:;(?!dur=)[^;,]*)*;dur=([0-9.]+)")


class LoadProgress(NamedTuple):
    """How far a measurement is."""

    is_warm_up: bool
    elapsed: float
    """Seconds."""
    good: int
    shed: int
    failed: int
    """Other answers, and requests without one."""
    in_flight: int


class Tally:
    """Counts answers; times are in milliseconds."""

    def __init__(self) -> None:
        self.seconds = 0.0
        """From the first request to the last answer."""
        self.interrupted = False
        self.sent = 0
        self.late = array("d")
        """How much later than planned each request was sent."""
        self.good = array("d")
        """From the planned start to the whole answer; pictures only."""
        self.good_pixels = 0
        self.stages: dict[str, array[float]] = {}
        """What the server says of good answers."""
        self.rest = array("d")
        """From sending to the whole answer, less the stages."""
        self.shed = array("d")
        """As `good`, of refusals by 429."""
        self.other_answers: Counter[str] = Counter()
        self.details: dict[str, str] = {}
        """What the first of each kind of other answers said."""
        self.transport_errors: Counter[str] = Counter()

    @property
    def answered(self) -> int:
        """Answers of any kind."""
        return len(self.good) + len(self.shed) + self.other_answers.total()

    @property
    def in_flight(self) -> int:
        """Requests that were sent and neither answered nor lost."""
        return self.sent - self.answered - self.transport_errors.total()

    def add_good(self, latency: float, took: float, server_timing: str, pixels: int) -> None:
        """Counts a picture.

        Args:
            latency: since the planned start.
            took: since it was sent.
            server_timing: the header, or nothing; of its entries, `total` is no stage.
            pixels: of the answer.
        """
        self.good.append(latency)
        self.good_pixels += pixels
        stages = {name: float(duration) for name, duration in _STAGE.findall(server_timing) if name != "total"}
        for name, duration in stages.items():
            self.stages.setdefault(name, array("d")).append(duration)
        if stages:
            self.rest.append(took - sum(stages.values()))

    def add_other(self, kind: str, detail: str) -> None:
        """Counts an answer that is neither a picture nor a 429."""
        self.other_answers[kind] += 1
        self.details.setdefault(kind, detail)

    def merge(self, other: "Tally") -> None:
        """Adds what was counted at the same time elsewhere."""
        self.seconds = max(self.seconds, other.seconds)
        self.interrupted |= other.interrupted
        self.sent += other.sent
        self.late += other.late
        self.good += other.good
        self.good_pixels += other.good_pixels
        for name, durations in other.stages.items():
            self.stages.setdefault(name, array("d")).extend(durations)
        self.rest += other.rest
        self.shed += other.shed
        self.other_answers += other.other_answers
        self.details = other.details | self.details
        self.transport_errors += other.transport_errors
