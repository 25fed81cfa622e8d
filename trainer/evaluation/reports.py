"""Reports of evaluations, which are written into a folder as Markdown, as JSON for machines, and as plots."""

import json
import math
import platform
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import rich.table
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.markup import escape

from trainer.errors import BadOutput

Cell = str | int | float | None
"""The content of a cell of a table; None where there is no figure."""

_NOTHING = "–"
"""Text of a cell without a figure."""
_INCHES, _DOTS_PER_INCH = (9.0, 4.5), 120
"""Width and height of a plot, and its resolution."""


class Column(NamedTuple):
    """A column of a table."""

    name: str
    decimals: int = 2
    """Number of decimals that floats are printed with."""
    best: Literal["highest", "lowest"] | None = None
    """Whether the highest or the lowest figures are printed bold, if any."""


@dataclass(frozen=True)
class Table:
    """A table of figures with a title; columns without text are right-aligned.

    Raises:
        ValueError: The number of cells in a row is not that of the columns, or two columns have the same name.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        if len(set(names)) < len(names):
            raise ValueError(f"{self.title}: two columns have the same name among {', '.join(names)}")
        for row in self.rows:
            if len(row) != len(names):
                raise ValueError(f"{self.title}: a row has {len(row)} cells, and there are {len(names)} columns")

    def markdown(self) -> str:
        """Return the title and the table as Markdown."""
        lines = [
            _line(_plain(column.name) for column in self.columns),
            _line("---:" if self._is_right(place) else "---" for place in range(len(self.columns))),
            *(_line(row) for row in self._cells("**", "**", _plain)),
        ]
        return "\n".join([f"## {self.title}", "", *lines])

    def rich(self) -> rich.table.Table:
        """Return the table in the form that rich prints on a terminal."""
        table = rich.table.Table(box=None, title=escape(self.title), header_style="bold")
        for place, column in enumerate(self.columns):
            is_right = self._is_right(place)
            table.add_column(escape(column.name), justify="right" if is_right else "left", no_wrap=not is_right)
        for row in self._cells("[bold]", "[/bold]", escape):
            table.add_row(*row)
        return table

    def figures(self) -> dict[str, object]:
        """Return the table in types of JSON, unrounded; a number that is not finite is None."""
        names = [column.name for column in self.columns]
        return {
            "title": self.title,
            "columns": names,
            "rows": [dict(zip(names, map(_finite, row), strict=True)) for row in self.rows],
        }

    def _is_right(self, place: int) -> bool:
        return not any(isinstance(row[place], str) for row in self.rows)

    def _cells(self, opening: str, closing: str, quote: Callable[[str], str]) -> Iterable[list[str]]:
        best = [self._best(place) for place in range(len(self.columns))]
        for row in self.rows:
            cells = []
            for column, cell, winner in zip(self.columns, row, best, strict=True):
                text = _text(cell, column.decimals)
                is_best = winner is not None and text == winner
                cells.append(f"{opening}{text}{closing}" if is_best else quote(text))
            yield cells

    def _best(self, place: int) -> str | None:
        """Return the best figure of a column as it is printed, so that all that print the same are bold."""
        column = self.columns[place]
        numbers = [cell for row in self.rows if isinstance(cell := _finite(row[place]), int | float)]
        if column.best is None or not numbers:
            return None
        return _text(max(numbers) if column.best == "highest" else min(numbers), column.decimals)


class ReportPicture(NamedTuple):
    """A plot or a contact sheet that lies in the folder of the report."""

    caption: str
    file: str
    """Name of the file in that folder."""


@dataclass(frozen=True)
class EvaluationReport:
    """The report of an evaluation: its tables and pictures, and the command and device that made them."""

    title: str
    command: str
    """Command line that wrote the report."""
    device: torch.device
    """Device that the figures were computed on."""
    tables: Sequence[Table]
    pictures: Sequence[ReportPicture] = ()
    notes: Sequence[str] = ()
    """Notes that explain the figures, each of one sentence or more."""
    details: Mapping[str, object] = field(default_factory=dict)
    """Further figures that are written to the JSON only, by their keys in it."""

    def figures(self) -> dict[str, object]:
        """Return the report in types of JSON."""
        return {
            "title": self.title,
            "command": self.command,
            "device": describe(self.device),
            "torch": torch.__version__,
            "notes": list(self.notes),
            "tables": [table.figures() for table in self.tables],
            "pictures": [picture._asdict() for picture in self.pictures],
            **self.details,
        }

    def write(self, folder: Path) -> None:
        """Write `report.md` and `report.json` into a folder.

        Raises:
            BadOutput: A file cannot be written.
        """
        try:
            (folder / "report.md").write_text(self._markdown(), encoding="utf-8")
            (folder / "report.json").write_text(
                json.dumps(self.figures(), indent=2, ensure_ascii=False) + "\n", "utf-8"
            )
        except OSError as error:
            raise BadOutput(f"cannot write the report into {folder}: {error}") from error

    def _markdown(self) -> str:
        parts = [
            f"# {self.title}",
            f"    {self.command}",
            f"On {describe(self.device)}, torch {torch.__version__}.",
            *self.notes,
            *(table.markdown() for table in self.tables),
            *(f"## {caption}\n\n![{caption}]({file})" for caption, file in self.pictures),
        ]
        return "\n\n".join(parts) + "\n"


def prepare(folder: Path) -> None:
    """Make the folder of a report if there is none, and make sure before long work that it can be written to.

    Raises:
        BadOutput: The folder cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise BadOutput(f"cannot write a report into {folder}: {error.strerror}; choose another --output") from error


def describe(device: torch.device) -> str:
    """Return the type of a device and the name of its processor, as in `cuda (NVIDIA H200)`."""
    processor = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return f"{device.type} ({processor})"


def bars(
    path: Path,
    title: str,
    groups: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    measure: str,
    *,
    lowest: float = 0.0,
    decimals: int = 2,
) -> None:
    """Draw groups of bars, each bar with its value, as PNG.

    Args:
        path: Path of the PNG.
        title: Title above the bars.
        groups: Names of the groups.
        series: One value for each group, None where there is none, keyed by the name in the legend.
        measure: Name and unit of the values.
        lowest: Value at which the bars begin.
        decimals: Number of decimals of the values above the bars.

    Raises:
        BadOutput: The file cannot be written.
    """
    figure, axes = _figure(title)
    width = 0.8 / max(len(series), 1)
    for number, (name, values) in enumerate(series.items()):
        places = [group + (number - (len(series) - 1) / 2) * width for group in range(len(groups))]
        heights = [math.nan if value is None else value - lowest for value in values]
        drawn = axes.bar(places, heights, width * 0.92, lowest, label=name)
        texts = ["" if value is None else f"{value:.{decimals}f}" for value in values]
        axes.bar_label(drawn, texts, padding=2, fontsize=7, rotation=90 if width < 0.2 else 0)
    axes.set_xticks(range(len(groups)), groups)
    axes.set_ylabel(measure)
    axes.margins(y=0.12)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    _save(figure, path)


def curves(
    path: Path,
    title: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    axes_names: tuple[str, str],
    *,
    logarithmic: bool = False,
) -> None:
    """Draw curves through points, as PNG.

    Args:
        path: Path of the PNG.
        title: Title above the curves.
        series: Points (x, y) of each curve, keyed by the name in the legend.
        axes_names: Names of the x and y axes, with their units.
        logarithmic: Whether the y axis is logarithmic.

    Raises:
        BadOutput: The file cannot be written.
    """
    figure, axes = _figure(title)
    for name, points in series.items():
        axes.plot([x for x, _ in points], [y for _, y in points], label=name)
    axes.set_xlabel(axes_names[0])
    axes.set_ylabel(axes_names[1])
    axes.set_yscale("log" if logarithmic else "linear")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    _save(figure, path)


def _figure(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=_INCHES, dpi=_DOTS_PER_INCH, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Figure, path: Path) -> None:
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        raise BadOutput(f"cannot write the plot {path}: {error}") from error


def _text(cell: Cell, decimals: int) -> str:
    if isinstance(cell, float):
        return f"{cell:.{decimals}f}" if math.isfinite(cell) else _NOTHING
    return _NOTHING if cell is None else str(cell)


def _finite(cell: Cell) -> Cell:
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell


def _plain(text: str) -> str:
    """Escape the characters of a text that would end a cell in Markdown."""
    return text.replace("|", "\\|")


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
