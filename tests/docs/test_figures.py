"""The figures of super-resolution are those that the cards of the bundled models have."""

from pathlib import Path

import pytest

from model_store.store import BUNDLED, Store

from .markdown import PROJECT, code, rows, section

README, FIGURES = PROJECT / "README.md", PROJECT / "docs/figures.md"


def measured(model: str, data: str, name: str) -> float | None:
    """Return the figure on the card of a bundled model, or None if the card has none."""
    card = Store(str(BUNDLED)).card("super-resolve", model)
    values = [each.value for each in card.measurements if each.data.startswith(data) and each.name == name]
    return values[0] if values else None


@pytest.mark.parametrize("document", [README, FIGURES], ids=lambda document: document.name)
def test_figures_of_quality_are_those_of_the_cards(document: Path) -> None:
    heading = "Figures" if document == README else "How good is super-resolution?"
    compared = 0
    for first, *cells in rows(section(document, heading)):
        for data, cell in zip(("Set5", "Set14", "BSD100"), cells, strict=False):
            for model, shrinking, kind in row_of(first):
                wanted = f"{data}, {shrinking}, Y channel"
                figures = [measured(model, wanted, f"{quantity}{kind}") for quantity in ("PSNR", "SSIM")]
                shown = [float(text) for text in cell.strip("*").split(" / ")] if cell else [None, None]
                assert shown == [None if each is None else round(each, 4) for each in figures], first
                compared += 1
    assert compared >= 6


def row_of(first: str) -> list[tuple[str, str, str]]:
    """Return the model, the shrinking and the kind of figure that a row shows; nothing for a row of the paper."""
    if "paper" in first or ("bicubic" not in first and not code(first)):
        return []
    blurred = "blur" in first
    shrinking = "bicubic shrinking after a blur of σ 1.0" if blurred else "bicubic shrinking without blur"
    if "bicubic" in first:
        model = "x8-pixel" if "×8" in first else "x4-pixel"
        return [(model, shrinking, ", bicubic")]
    kind = ", net with self-ensemble" if "self_ensemble" in first else ", net"
    return [(code(first)[0], shrinking, kind)]
