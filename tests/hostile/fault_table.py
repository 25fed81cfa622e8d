"""Which fault at which stage is answered how: the table that the tests of faults go through, and that the docs show."""

from collections.abc import Iterable

FAULTS = (
    "exception",
    "hang",
    "out of memory",
    "killed",
    "disk full",
    "slow disk",
    "clock jump",
    "client gone",
)
"""The faults: what goes wrong."""

NONE = "—"
"""The entry of a fault that a stage cannot have."""

_OF_REQUESTS = {
    "upload": ("500", "408", "503", NONE, "503", "200", "200", "dropped"),
    "store read": ("500", "504", "503", NONE, "503", "200", "200", "dropped"),
    "header": ("500", "504", "503", NONE, NONE, NONE, "200", "dropped"),
    "decode": ("500", "504", "503", NONE, NONE, NONE, "200", "dropped"),
    "queue": (NONE, "504", NONE, NONE, NONE, NONE, "200", "dropped"),
    "net": ("500", "504", "503", "503, restart", NONE, NONE, "200", "dropped"),
    "encode": ("500", "504", "503", NONE, NONE, NONE, "200", "dropped"),
    "send": (NONE, "dropped", NONE, NONE, NONE, NONE, "200", "dropped"),
}
_OF_MODELS = {
    "publish": ("refused", "waits", "refused", "nothing", "refused", "waits", "published", NONE),
    "reload": ("old version", "old version", "old version", NONE, NONE, "old version", "new version", NONE),
}
TABLE = {stage: dict(zip(FAULTS, row, strict=True)) for stage, row in {**_OF_REQUESTS, **_OF_MODELS}.items()}
"""What comes of each fault at each stage."""


def cells(stages: Iterable[str]) -> list[tuple[str, str]]:
    """Return the stages and faults of all entries that can be."""
    return [(stage, fault) for stage in stages for fault in FAULTS if TABLE[stage][fault] != NONE]


CELLS_OF_REQUESTS, CELLS_OF_MODELS = cells(_OF_REQUESTS), cells(_OF_MODELS)


def markdown() -> str:
    """Return the table as Markdown."""
    head = f"| | {' | '.join(FAULTS)} |\n|{' --- |' * (len(FAULTS) + 1)}\n"
    return head + "".join(f"| {stage} | {' | '.join(row.values())} |\n" for stage, row in TABLE.items())
