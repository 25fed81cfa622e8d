"""The gallery: a page in Markdown that shows the models of a root, made from their cards alone."""

import html
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from model_store.card import TASKS, Card, Measurement, Task
from model_store.errors import StoreError
from model_store.root import Root

_INTRODUCTION = (
    "This folder is a root of the model store. `TASK/NAME/VERSION/` holds the weights of a net, the card that says how "
    "it was made and measured, and a preview; the newest version of each is shown here. `impasto models gallery` makes "
    "this page of the cards. The licence on a card covers the weights only: pictures that a net was trained on have "
    "terms of their own."
)
_HEADINGS: dict[Task, str] = {"stylize": "Styles", "super-resolve": "Super-resolution"}
_SHEETS: dict[Task, Sequence[str]] = {"stylize": ("styles.jpg", "blends.jpg"), "super-resolve": ("fidelity.jpg",)}
"""The contact sheets of `impasto evaluate gallery`, by the task that they are shown with."""
_STYLE_WIDTH, _ENLARGED_WIDTH = 280, 840
"""Widths of previews of styles and of enlargements, in pixels of the page."""


def gallery(root: Root) -> str:
    """Make the page of a root's models in their newest versions, with the JPEGs that lie directly in the root.

    The page belongs into the root's folder, because its links are relative.

    Raises:
        StoreError: The root has no models.
        DamagedModel: A card cannot be read.
    """
    cards = [root.card(task, name, max(root.versions(task, name))) for task in TASKS for name in root.names(task)]
    if not cards:
        raise StoreError(f"there are no models in {root.url}: give a folder that models were published to")
    pictures = {name for name in root.entries() if name.endswith(".jpg")}
    parts = ["# Models", _INTRODUCTION]
    for task in TASKS:
        chosen = [card for card in cards if card.task == task]
        if chosen:
            sheets = [name for name in _SHEETS[task] if name in pictures]
            entries = [_styles(chosen, root)] if task == "stylize" else [_enlarger(card, root) for card in chosen]
            parts += [f"## {_HEADINGS[task]}", *map(_sheet, sheets), *entries, *_tables(chosen)]
    others = sorted(pictures.difference(*_SHEETS.values()))
    if others:
        parts += ["## Pictures", *map(_sheet, others)]
    commands = dict.fromkeys(figure.command for card in cards for figure in card.measurements)
    if commands:
        parts += ["## Where the figures come from", "\n".join(["```sh", *commands, "```"])]
    return "\n\n".join(parts) + "\n"


def _styles(cards: Iterable[Card], root: Root) -> str:
    rows = ([_preview(card, root, _STYLE_WIDTH), "<br><br>".join(map(_cell, _about(card)))] for card in cards)
    return _table(["", ""], rows, "---")


def _enlarger(card: Card, root: Root) -> str:
    return "\n\n".join(filter(None, [_preview(card, root, _ENLARGED_WIDTH), *_about(card)]))


def _about(card: Card) -> list[str]:
    """Return what a card says in words, as paragraphs."""
    paragraphs = [f"**{card.title}** · `{card.label}` · {card.licence}", card.description]
    paragraphs += [f"*Limitations:* {card.limitations}"] if card.limitations else []
    training = _training(card)
    paragraphs += [f"*Training:* {training}."] if training else []
    return [paragraph for paragraph in paragraphs if paragraph]


def _training(card: Card) -> str:
    """Return the training's steps, seconds and device, as far as the recipe has them.

    Older recipes have the steps in their schedule.
    """
    schedule = card.recipe.get("schedule")
    recipe = {**schedule, **card.recipe} if isinstance(schedule, dict) else card.recipe
    steps, seconds, device = (recipe.get(key) for key in ("steps", "seconds", "device"))
    facts = [f"{steps:,} steps"] if isinstance(steps, int) else []
    facts += [f"{seconds:,.0f} s"] if isinstance(seconds, int | float) else []
    facts += [device] if isinstance(device, str) else []
    return ", ".join(facts)


def _preview(card: Card, root: Root, width: int) -> str:
    folder = (card.task, card.name, str(card.version))
    if "preview.jpg" not in root.entries(*folder):
        return ""
    return f'<img src="{"/".join(folder)}/preview.jpg" width="{width}" alt="{html.escape(card.title)}">'


def _sheet(name: str) -> str:
    caption = name.removesuffix(".jpg").replace("-", " ").capitalize()
    return f"![{caption}]({name})\n\n*{caption}*"


def _tables(cards: Sequence[Card]) -> list[str]:
    """Return a table for each set of data, with a row for each model measured on it and a column for each measure."""
    figures = [figure for card in cards for figure in card.measurements]
    decimals: dict[str, int] = {}
    for figure in figures:
        measure = _measure(figure)
        decimals[measure] = max(decimals.get(measure, 0), _decimals(figure.value))
    sets_of_data = dict.fromkeys(figure.data for figure in figures)
    return [f"### {data}\n\n{_table_of_figures(data, cards, decimals)}" for data in sets_of_data]


def _table_of_figures(data: str, cards: Sequence[Card], decimals: Mapping[str, int]) -> str:
    measured = {
        card.label: {_measure(figure): figure.value for figure in card.measurements if figure.data == data}
        for card in cards
    }
    measures = list(dict.fromkeys(measure for values in measured.values() for measure in values))
    rows = (
        [f"`{label}`", *(f"{values[each]:,.{decimals[each]}f}" if each in values else "" for each in measures)]
        for label, values in measured.items()
        if values
    )
    return _table(["model", *map(_cell, measures)], rows, "---:")


def _measure(figure: Measurement) -> str:
    return f"{figure.name} ({figure.unit})" if figure.unit else figure.name


def _decimals(value: float) -> int:
    exponent = Decimal(str(value)).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], alignment: str) -> str:
    """Return a Markdown table whose columns after the first have this alignment."""
    lines = [header, ["---", *[alignment] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cell(text: str) -> str:
    """Return text that fits into one cell of a table: without line breaks, and with its bars escaped."""
    return " ".join(text.replace("|", "\\|").split())
