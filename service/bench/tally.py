"""The count of answers, as columns of numbers, which are small, quick to append to and easy to merge."""

import re
from array import array
from collections import Counter
from typing import NamedTuple

_STAGE = re.compile(r"([\w-]+)(?:;(?!dur=)[^;,]*)*;dur=([0-9.]+)")


class LoadProgress(NamedTuple):
    """The progress of a warm-up or a measurement."""

    is_warm_up: bool
    elapsed: float
    """Seconds since the start."""
    good: int
    """Number of answers that are pictures."""
    shed: int
    """Number of answers with status 429."""
    failed: int
    """Number of other answers and of requests without an answer."""
    in_flight: int
    """Number of requests that wait for their answer."""


class Tally:
    """A count of answers; times are in milliseconds."""

    def __init__(self) -> None:
        self.seconds = 0.0
        """Seconds from the first request to the last answer."""
        self.interrupted = False
        self.sent = 0
        self.late = array("d")
        """Times by which requests were sent later than planned."""
        self.good = array("d")
        """Times from the planned start of a request to the end of its answer, for answers that are pictures."""
        self.good_pixels = 0
        """Number of pixels in the answers that are pictures."""
        self.stages: dict[str, array[float]] = {}
        """Times that the server says a stage took, by stage, for answers that are pictures."""
        self.rest = array("d")
        """Times from sending a request to the end of its answer, less the stages, for answers that are pictures."""
        self.shed = array("d")
        """Times from the planned start of a request to the end of its answer, for answers with status 429."""
        self.other_answers: Counter[str] = Counter()
        """Numbers of other answers, by status; for 200 that is not a picture, with the media type."""
        self.details: dict[str, str] = {}
        """The detail of the first answer of each kind in `other_answers`."""
        self.transport_errors: Counter[str] = Counter()
        """Numbers of requests without an answer, by the kind of failure."""

    @property
    def answered(self) -> int:
        """The number of answers of any kind."""
        return len(self.good) + len(self.shed) + self.other_answers.total()

    @property
    def in_flight(self) -> int:
        """The number of requests that were sent and neither answered nor lost."""
        return self.sent - self.answered - self.transport_errors.total()

    def add_good(self, latency: float, took: float, server_timing: str, pixels: int) -> None:
        """Count an answer that is a picture.

        Args:
            latency: Milliseconds from the planned start of the request to the end of the answer.
            took: Milliseconds from sending the request to the end of the answer.
            server_timing: The `Server-Timing` header, or an empty string. Its entry `total` is not a stage.
            pixels: The number of pixels in the picture.
        """
        self.good.append(latency)
        self.good_pixels += pixels
        stages = {name: float(duration) for name, duration in _STAGE.findall(server_timing) if name != "total"}
        for name, duration in stages.items():
            self.stages.setdefault(name, array("d")).append(duration)
        if stages:
            self.rest.append(took - sum(stages.values()))

    def add_other(self, kind: str, detail: str) -> None:
        """Count an answer that is neither a picture nor a 429."""
        self.other_answers[kind] += 1
        self.details.setdefault(kind, detail)

    def merge(self, other: "Tally") -> None:
        """Add the count of another process over the same time."""
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
