"""The tables, curves and pictures of a study of a style net."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from model_store.card import Measurement
from trainer.baselines.descent import mean_terms
from trainer.errors import BadOutput
from trainer.evaluation.reports import Cell, Column, ReportPicture, Table, curves
from trainer.evaluation.style_study import Start, Study
from trainer.evaluation.tap_errors import DEEP_CONTENT_TAP, DEEP_STYLE_TAPS, mean_errors
from trainer.pictures.contact_sheet import Tile, contact_sheet
from trainer.pictures.picture_files import save

PAPER_ITERATIONS = (100, 300, 500)
"""Numbers of iterations in table 1 of the paper."""

_NAMES_ON_CARDS = {"the photos": "photos", "the net": "stylised"}
"""Names that cards give to the photos and to the pictures of the net."""

_STARTS: tuple[Start, ...] = ("noise", "content")


def tables(studies: Sequence[Study]) -> list[Table]:
    """Return the tables of studies at several sizes."""
    found = [_equality(studies), _terms(studies), _style(studies), _speed(studies)]
    return [*found, _deep(studies)] if studies[0].deep else found


def scores(studies: Sequence[Study]) -> list[dict[str, Cell]]:
    """Return the errors of each picture at the deep taps as rows of JSON; photos are numbered from 0."""
    return [
        {"size": study.size, "photo": number, "of": of, "style error": error.style, "content error": error.content}
        for study in studies
        for of, errors in study.deep.items()
        for number, error in enumerate(errors)
    ]


def measurements(studies: Sequence[Study], data: str, command: str) -> list[Measurement]:
    """Return the measurements of a net for its card, at each size.

    Args:
        studies: Studies of the net at several sizes.
        data: Name of the set that the photos are from, as in `BSD100`.
        command: Command line that measured the net.
    """
    return [
        Measurement(
            name=name,
            value=round(value, 4),
            data=f"{count} photo{'s' if count > 1 else ''} of {data}, {study.size}×{study.size}",
            command=command,
        )
        for study in studies
        for name, value, count in _figures(study)
    ]


def draw(studies: Sequence[Study], folder: Path) -> list[ReportPicture]:
    """Draw the curves and the pictures of each size, as PNG files in a folder.

    Raises:
        BadOutput: A file cannot be written.
    """
    pictures = []
    for study in studies:
        falling = {start: list(enumerate(study.curve(start))) for start in _STARTS}
        level = mean_terms(study.net_on_optimised)["objective"]
        iterations = len(falling["noise"]) - 1
        plot, sheet = f"objective-{study.size}.png", f"pictures-{study.size}.png"
        curves(
            folder / plot,
            f"{study.size}×{study.size}, mean over {len(study.pictures)} photos",
            {f"Gatys from {start}": points for start, points in falling.items()}
            | {"the net": [(0.0, level), (float(iterations), level)]},
            ("iteration of L-BFGS", "objective"),
            logarithmic=True,
        )
        save(contact_sheet(_rows(study)), folder / sheet)
        pictures += [
            ReportPicture(f"The lowest objective so far at {study.size}×{study.size}", plot),
            ReportPicture(f"Pictures of {study.size}×{study.size}", sheet),
        ]
    return pictures


def write_curves(studies: Sequence[Study], folder: Path) -> None:
    """Write `curves.json`: the objective of each photo at each iteration, keyed by size and by start.

    Raises:
        BadOutput: The file cannot be written.
    """
    objectives = {
        study.size: {start: [descent.objectives for descent in study.descents[start]] for start in _STARTS}
        for study in studies
    }
    try:
        (folder / "curves.json").write_text(json.dumps(objectives) + "\n", encoding="utf-8")
    except OSError as error:
        raise BadOutput(f"cannot write the curves into {folder}: {error}") from error


def _equality(studies: Sequence[Study]) -> Table:
    def cell(study: Study, start: Start) -> Cell:
        equal = study.net_equals(start)
        return f"more than {len(study.curve(start)) - 1}" if equal is None else f"{equal:.1f}"

    columns = [Column("size"), Column("the net's objective", 3)]
    columns += [Column(f"Gatys from {start} after {len(studies[0].curve(start)) - 1}", 3) for start in _STARTS]
    columns += [Column(f"the net equals iteration (from {start})") for start in _STARTS]
    rows = [
        [
            study.size,
            mean_terms(study.net_on_optimised)["objective"],
            *(study.curve(start)[-1] for start in _STARTS),
            *(cell(study, start) for start in _STARTS),
        ]
        for study in studies
    ]
    return Table(f"The objective, mean over {len(studies[0].pictures)} photos", columns, rows)


def _terms(studies: Sequence[Study]) -> Table:
    rows: list[list[Cell]] = []
    names = list(studies[0].photos)
    columns = [Column("size"), Column("of"), *(Column(name, 4) for name in names)]
    for study in studies:
        descended = {
            f"Gatys from {start}": mean_terms([descent.terms for descent in study.descents[start]]) for start in _STARTS
        }
        found = {
            "the photos": study.photos,
            "the net": study.net,
            "the net, photos also optimised": mean_terms(study.net_on_optimised),
            **descended,
        }
        rows += [[study.size, name, *(terms[term] for term in names)] for name, terms in found.items()]
    return Table("Each term by itself, unweighted", columns, rows)


def _style(studies: Sequence[Study]) -> Table:
    columns = [Column("size"), Column("photos", 4), Column("stylised", 4)]
    return Table("Relative style error", columns, [[study.size, *study.style] for study in studies])


def _deep(studies: Sequence[Study]) -> Table:
    columns = [Column("size"), Column("of"), Column("photos"), Column("style error", 4), Column("content error", 4)]
    rows: list[list[Cell]] = []
    for study in studies:
        also_optimised = study.deep["the net"][: len(study.pictures)]
        for of, errors in {**study.deep, "the net, photos also optimised": also_optimised}.items():
            rows.append([study.size, of, len(errors), *mean_errors(errors)])
    taps = f"{', '.join(DEEP_STYLE_TAPS)}, and content at {DEEP_CONTENT_TAP}, of {studies[0].deep_network}"
    return Table(f"Relative errors of style at {taps}", columns, rows)


def _figures(study: Study) -> Iterator[tuple[str, float, int]]:
    """Yield the name and the value of each figure, and the number of photos that it is a mean over."""
    optimised, everything = len(study.pictures), len(study.deep.get("the net", ()))
    yield "objective", mean_terms(study.net_on_optimised)["objective"], optimised
    for start in _STARTS:
        equal = study.net_equals(start)
        if equal is not None:
            yield f"iteration of Gatys' optimisation that the net equals, from {start}", equal, optimised
    for of, errors in study.deep.items():
        who = _NAMES_ON_CARDS.get(of, f"{of} after {len(study.curve('noise')) - 1} iterations")
        count = everything if of in _NAMES_ON_CARDS else optimised
        found = mean_errors(errors)
        yield f"relative style error at {', '.join(DEEP_STYLE_TAPS)} of {study.deep_network}, {who}", found.style, count
        if of != "the photos":
            yield f"relative content error at {DEEP_CONTENT_TAP} of {study.deep_network}, {who}", found.content, count


def _speed(studies: Sequence[Study]) -> Table:
    columns = [Column("size")]
    columns += [Column(f"Gatys {count}", 2) for count in PAPER_ITERATIONS]
    columns += [Column("the net", 4), *(Column(f"faster than {count}", 0) for count in PAPER_ITERATIONS)]
    rows: list[list[Cell]] = []
    for study in studies:
        optimised = [count * study.iteration_seconds for count in PAPER_ITERATIONS]
        faster = [seconds / study.net_seconds for seconds in optimised]
        rows.append([study.size, *optimised, study.net_seconds, *faster])
    return Table("Seconds a picture (table 1 of the paper)", columns, rows)


def _rows(study: Study) -> list[list[Tile]]:
    rows = []
    for number, (photo, result) in enumerate(study.pictures):
        objective = study.net_on_optimised[number]["objective"]
        row = [Tile(photo, "photo"), Tile(result, f"the net: {objective:.3f}")]
        for start in _STARTS:
            descent = study.descents[start][number]
            count = len(descent.objectives) - 1
            caption = f"Gatys from {start}, {count} iterations: {descent.terms['objective']:.3f}"
            row.append(Tile(descent.picture, caption))
        rows.append(row)
    return rows
