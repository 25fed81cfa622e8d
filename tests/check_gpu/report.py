"""The report of a check, as Markdown and as JSON."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from check_gpu.figures import Figure, figures
from check_gpu.part import Outcome


class Run(NamedTuple):
    """The run of a check that a report is about."""

    host: str
    """Name of the device and versions of the main packages, on one line."""
    minutes: float
    """Minutes for all parts together."""
    started: str
    """Date and time of the start, as text."""
    rehearses: bool = False
    """Whether this is the rehearsal on the CPU."""


def write(run: Run, outcomes: Sequence[Outcome], seconds: float, folder: Path) -> None:
    """Write `report.md` and `report.json`; readers see each file complete at any moment.

    Args:
        run: The run that the report is about.
        outcomes: The outcomes of all parts, also of those that were not reached.
        seconds: The time since the start.
        folder: The folder for both files.
    """
    results = {each.part.name: each.results for each in outcomes}
    try:
        found = figures(results, rehearses=run.rehearses)
    except Exception as error:  # results are in the JSON, and the check of a rented device must go on
        found = [Figure(f"the results cannot be read: {type(error).__name__}: {error}", 0.0, "")]
    _replace(folder / "report.md", "\n".join(_markdown(run, outcomes, found, seconds)) + "\n")
    document = {
        **run._asdict(),
        "seconds": round(seconds, 1),
        "parts": [
            {
                "name": each.part.name,
                "status": each.status,
                "seconds": round(each.seconds, 1),
                "remark": each.remark,
                "command": list(each.part.command),
                "results": each.results,
            }
            for each in outcomes
        ],
        "figures": [each._asdict() for each in found],
    }
    _replace(folder / "report.json", json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def _replace(path: Path, text: str) -> None:
    """Write a file so that it is complete at any moment."""
    aside = path.with_name(f".{path.name}")
    aside.write_text(text)
    aside.replace(path)


def _markdown(run: Run, outcomes: Sequence[Outcome], found: Sequence[Figure], seconds: float) -> Iterator[str]:
    counts = Counter(each.status for each in outcomes)
    yield f"# {'Rehearsal on the CPU' if run.rehearses else 'Check on a GPU'}"
    yield ""
    yield f"{run.host}. Started {run.started}; {seconds:.0f} s of {60 * run.minutes:.0f} s."
    yield f"Parts: {', '.join(f'{count} {status}' for status, count in counts.items())}."
    if run.rehearses:
        yield "All is small, and kernels run in Triton's interpreter: the figures only show that they are measured."
    yield from _table(
        ("part", "result", "seconds", "what to look at"),
        [(each.part.name, each.status, f"{each.seconds:.1f}", each.remark) for each in outcomes],
    )
    if found:
        yield from _table(
            ("figure", "measured", "ceiling", "of it", "beside it", "wanted", "met"), [_row(each) for each in found]
        )
    for each in outcomes:
        if each.output:
            yield from ("", f"## {each.part.name}", "", "```", each.output.rstrip().replace("```", "'''"), "```")


def _row(figure: Figure) -> tuple[str, ...]:
    ceiling, share = "", ""
    if figure.ceiling:
        # The ceiling of a time is its least value, that of a rate its largest.
        ratio = figure.ceiling / figure.value if figure.unit.startswith("ms") else figure.value / figure.ceiling
        ceiling, share = f"{figure.ceiling:.4g}", f"{ratio:.0%}"
    met = "" if figure.is_met is None else "yes" if figure.is_met else "**no**"
    return figure.name, f"{figure.value:.4g} {figure.unit}", ceiling, share, figure.beside, figure.wanted, met


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield ""
    yield f"| {' | '.join(titles)} |"
    yield f"|{' --- |' * len(titles)}"
    yield from (f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows)
