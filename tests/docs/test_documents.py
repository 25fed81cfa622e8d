"""The documents as a whole: sizes, links, names of files."""

import re
from pathlib import Path

import pytest

from .markdown import DOCUMENTS, PROJECT, anchor, code, headings, links, rows, section, without_blocks

WAY = PROJECT / "docs/how-it-works.md"
PLACEHOLDERS = re.compile(r"[A-Z]{4,}|NAME|…|\*|_\w+$")
ROOMS = ("docker/", "docs/", "examples/", "impasto/", "model_store/", "service/", "tests/", "trainer/")


def test_the_readme_is_short() -> None:
    assert len((PROJECT / "README.md").read_bytes()) <= 7 * 1024


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    for link in links(document):
        if "://" in link:
            continue
        path, _, place = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        assert not place or place in map(anchor, headings(target)), link


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_file_that_is_named_is_there(document: Path) -> None:
    for name in code(without_blocks(document)):
        if name.startswith(ROOMS) and " " not in name and not PLACEHOLDERS.search(name):
            assert (PROJECT / name).exists(), name


def test_every_document_is_linked_from_the_readme() -> None:
    linked = {(PROJECT / link).resolve() for link in links(PROJECT / "README.md")}
    assert set(DOCUMENTS) - {PROJECT / "README.md"} <= linked


def test_a_picture_s_way_has_ten_stations_at_most_and_none_twice() -> None:
    stations = list(rows(section(WAY, "Which way does a picture take?")))
    files = [code(file)[0] for _, file, *_ in stations]
    assert 0 < len(files) <= 10
    assert len(set(files)) == len(files)
    assert [number for number, *_ in stations] == [str(number) for number in range(1, len(files) + 1)]
    for file, (_, _, functions, _) in zip(files, stations, strict=True):
        text = (PROJECT / file).read_text()
        for function in code(functions):
            assert re.search(rf"^ *(async )?def {function.rpartition('.')[2]}\b", text, re.MULTILINE), function
