"""The run of all parts, one after the other, with a report that is kept up to date."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from check_gpu.part import Outcome, Part, run


class Stage(NamedTuple):
    """Parts that share some of the time."""

    share: float
    """Share of the time, relative to the shares of the other stages."""
    parts: tuple[Part, ...]


def check(
    stages: Sequence[Stage],
    folder: Path,
    seconds: float,
    report: Callable[[Sequence[Outcome]], None],
    missing: frozenset[str] = frozenset(),
) -> list[Outcome]:
    """Run all parts, also after one that failed, until the time is over or this process is interrupted.

    A stage must end when as much of the time has passed as the shares of it and of all stages before it: time that one
    does not use is for the next, and none can take another's. A part may take half of the time that is left for its
    stage, and the last part all of it, so that a part that hangs leaves time for those after it.

    Args:
        stages: The stages in their order.
        folder: The folder for the output of the parts.
        seconds: The time for all parts together.
        report: Is called with the outcomes of all parts, before each of them and at the end.
        missing: Modules that are not installed.
    """
    ahead = [Outcome(part, "not reached") for stage in stages for part in stage.parts]
    whole = sum(stage.share for stage in stages)
    outcomes: list[Outcome] = []
    deadline = time.monotonic()
    for stage in stages:
        deadline += seconds * stage.share / whole
        for part in stage.parts:
            ahead = ahead[1:]
            report([*outcomes, Outcome(part, "running"), *ahead])
            left = deadline - time.monotonic()
            outcomes.append(run(part, folder, left if part is stage.parts[-1] else left / 2, missing))
            if outcomes[-1].status == "cut short":
                report([*outcomes, *ahead])
                return [*outcomes, *ahead]
    report(outcomes)
    return outcomes
