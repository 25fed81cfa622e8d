"""What an evaluation writes into a folder: a report to read, its figures for machines, and plots."""

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
"""None where there is no figure."""

_NOTHING = "–"
_INCHES, _DOTS_PER_INCH = (9.0, 4.5), 120


class Column(NamedTuple):
    """A column of a table."""

    name: str
    decimals: int = 2
    """Of its floats."""
    best: Literal["highest", "lowest"] | None = None
    """Which of its figures to print bold."""


@dataclass(frozen=True)
class Table:
    """Figures with a title; columns that hold no text are right-aligned.

    Raises:
        ValueError: a row is not as long as there are columns, or two columns have the same name.
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
        """The table under its title, as Markdown."""
        lines = [
            _line(_plain(column.name) for column in self.columns),
            _line("---:" if self._is_right(place) else "---" for place in range(len(self.columns))),
            *(_line(row) for row in self._cells("**", "**", _plain)),
        ]
        return "\n".join([f"## {self.title}", "", *lines])

    def rich(self) -> rich.table.Table:
        """The table for the terminal."""
        table = rich.table.Table(box=None, title=escape(self.title), header_style="bold")
        for place, column in enumerate(self.columns):
            is_right = self._is_right(place)
            table.add_column(escape(column.name), justify="right" if is_right else "left", no_wrap=not is_right)
        for row in self._cells("[bold]", "[/bold]", escape):
            table.add_row(*row)
        return table

    def figures(self) -> dict[str, object]:
        """The table as JSON can hold it, unrounded; what is not a finite number is null."""
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
        """The best figure of a column as it is printed, so that equals are all bold."""
        column = self.columns[place]
        numbers = [cell for row in self.rows if isinstance(cell := _finite(row[place]), int | float)]
        if column.best is None or not numbers:
            return None
        return _text(max(numbers) if column.best == "highest" else min(numbers), column.decimals)


class Picture(NamedTuple):
    """A plot or a contact sheet that lies in the folder of the report."""

    caption: str
    file: str
    """Its name there."""


@dataclass(frozen=True)
class Report:
    """What was found, and how."""

    title: str
    command: str
    """As typed."""
    device: torch.device
    """That it was computed on."""
    tables: Sequence[Table]
    pictures: Sequence[Picture] = ()
    notes: Sequence[str] = ()
    """What to know when reading the figures, a sentence or more each."""
    details: Mapping[str, object] = field(default_factory=dict)
    """What machines may want besides, by its key in the JSON."""

    def figures(self) -> dict[str, object]:
        """The report as JSON can hold it."""
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
        """Writes `report.md` and `report.json`.

        Raises:
            BadOutput: they cannot be written.
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
    """Makes the folder of a report if need be, and makes sure that it can be written to, before long work.

    Raises:
        BadOutput: it cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise BadOutput(f"cannot write a report into {folder}: {error.strerror}; choose another --output") from error


def describe(device: torch.device) -> str:
    """A device with the name of its processor, as in `cuda (NVIDIA H200)`."""
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
    """Draws a group of bars for each of some things, each bar with its value, as PNG.

    Args:
        path: of the PNG.
        title: above the bars.
        groups: names of what was measured.
        series: a value for each group, None where there is none, by what to call them in the legend.
        measure: name and unit of the values.
        lowest: where the bars begin.
        decimals: of the values written.

    Raises:
        BadOutput: it cannot be written.
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
    """Draws curves through points, as PNG.

    Args:
        path: of the PNG.
        title: above the curves.
        series: the points of each curve, by what to call it in the legend.
        axes_names: of x and y, with their units.
        logarithmic: whether y is.

    Raises:
        BadOutput: it cannot be written.
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
    """Text that Markdown does not take for the end of a cell."""
    return text.replace("|", "\\|")


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
