"""The documents, taken apart: blocks of code, sections, tables, links."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).parents[2]
DOCUMENTS = tuple(PROJECT / name for name in ("README.md", "CONTRIBUTING.md")) + tuple(
    sorted((PROJECT / "docs").glob("*.md"))
)
_BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block of code."""

    document: Path
    line: int
    language: str
    source: str | None
    """The file of the project that the block is an excerpt of, if it says so."""
    text: str

    @property
    def place(self) -> str:
        """Return where the block begins, as in `docs/python.md:12`."""
        return f"{self.document.relative_to(PROJECT)}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """Return the lines of a block of shell, without comments."""
        lines = (re.sub(r"\s+#.*", "", line) for line in self.text.splitlines())
        return [line for line in lines if line and not line.startswith("#")]


def blocks(document: Path) -> list[Block]:
    """Return the fenced blocks of a document, in their order."""
    text = document.read_text()
    return [
        Block(document, text.count("\n", 0, found.start()) + 1, found[1], found[2], found[3])
        for found in _BLOCK.finditer(text)
    ]


def without_blocks(document: Path) -> str:
    """Return the text of a document without its fenced blocks."""
    return _BLOCK.sub("", document.read_text())


def headings(document: Path) -> list[str]:
    """Return the headings of a document, without backticks."""
    return [found[1].replace("`", "") for found in _HEADING.finditer(without_blocks(document))]


def anchor(heading: str) -> str:
    """Return the anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def section(document: Path, heading: str) -> str:
    """Return the text between a heading and the next of any level, without blocks."""
    text = without_blocks(document)
    for found in _HEADING.finditer(text):
        if found[1].replace("`", "") == heading:
            following = _HEADING.search(text, found.end())
            return text[found.end() : following.start() if following else None]
    raise AssertionError(f"{document.name} has no heading {heading!r}")


def rows(text: str) -> Iterator[list[str]]:
    """Yield the rows of all tables in a text, each as a list of cells; their heads are left out."""
    is_head = True
    for line in text.splitlines():
        if not line.startswith("|"):
            is_head = True
        elif set(line) <= set("|-: "):
            is_head = False
        elif not is_head:
            yield [cell.strip() for cell in line.strip("|").split("|")]


def code(cell: str) -> list[str]:
    """Return all texts between backticks."""
    return re.findall(r"`([^`]+)`", cell)


def table(document: Path, heading: str) -> dict[str, list[str]]:
    """Return the cells after the first of each row in a section, by each text between backticks in the first."""
    return {name: rest for first, *rest in rows(section(document, heading)) for name in code(first)}


def links(document: Path) -> list[str]:
    """Return the targets of the links and pictures of a document."""
    text = without_blocks(document)
    return re.findall(r"\]\(([^)]+)\)", text) + re.findall(r'src="([^"]+)"', text)


def as_text(default: object) -> str:
    """Return a default as tables write it."""
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default)
