"""Every block of code of the documents is run or checked, in one way each.

Blocks of Python and shell are run in their order in a folder of small pictures, with a server whose address stands for
`localhost:8000`; what a block of JSON or text after them shows is what they print. Which commands are tested by
another script, or without running them, is in `ways.py`.
"""

import ast
import contextlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from service.client import errors

from ..command import run
from .markdown import DOCUMENTS, PROJECT, Block, blocks
from .ways import WAYS, ways_of

pytestmark = pytest.mark.process

ALL = [block for document in DOCUMENTS for block in blocks(document)]
SMALLER = {"impasto bench": ("--requests", "4", "--warm-up", "0")}
"""Words to add to a command, by its beginning, so that it is quick."""
VARYING = re.compile(r"\b[0-9a-f]{32}\b|\d+\.\d+|…")
"""What differs each time: ids, times, and what a document leaves out."""
SHELL = re.compile(r"[|<>;$&]")
"""Characters that a shell interprets and `shlex` does not."""


def test_every_command_is_tested_in_one_way() -> None:
    commands = {command for block in ALL if block.language == "sh" for command in block.commands}
    ways = {command: ways_of(command) for command in commands}
    assert {command: names for command, names in ways.items() if len(names) != 1} == {}


def test_every_other_block_is_tested_in_one_way() -> None:
    kinds = {block.place: kinds_of(block) for block in ALL}
    assert {place: names for place, names in kinds.items() if len(names) != 1} == {}


def kinds_of(block: Block) -> list[str]:
    """Return the kinds of test below that a block belongs to."""
    kinds = {
        "commands": block.language == "sh",
        "excerpt": block.source is not None,
        "program": block.language == "python" and block.source is None,
        "sample": is_sample(block),
        "drawing": is_drawing(block),
        "tree of errors": is_tree(block),
        "gallery": block.language == "toml",
    }
    return [kind for kind, is_one in kinds.items() if is_one]


def is_sample(block: Block) -> bool:
    """Return whether a block shows what the block before it prints."""
    if block.language not in {"json", "text"}:
        return False
    before = [each for each in ALL if each.document == block.document and each.line < block.line]
    return (
        bool(before) and before[-1].language in {"sh", "python"} and before[-1].source is None and not is_drawing(block)
    )


def is_drawing(block: Block) -> bool:
    return block.language == "mermaid" or "──►" in block.text


def is_tree(block: Block) -> bool:
    return block.language == "text" and "├── " in block.text


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_what_a_document_shows_is_so(
    document: Path, folder: Path, served: str, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    monkeypatch.chdir(folder)
    reader = Reader(folder, served)
    for block in blocks(document):
        with subtests.test(block.place):
            reader.read(block)


class Reader:
    """A reader who does what a document says.

    Args:
        folder: The folder in which the blocks run.
        server: The address of a server.
    """

    def __init__(self, folder: Path, server: str) -> None:
        self._folder = folder
        self._host = server.removeprefix("http://")
        self._names: dict[str, Any] = {"__name__": "__main__"}
        self._printed = ""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        own = {
            "HOME": str(folder),
            "PATH": path,
            "IMPASTO_API_KEY": "unused",
            "IMPASTO_DEVICE": "cpu",
            "COLUMNS": "120",
        }
        self._environment = {name: value for name, value in os.environ.items() if name != "IMPASTO_STORE"} | own

    def read(self, block: Block) -> None:
        """Run a block, or compare it with what the block before it printed."""
        if block.language == "sh":
            self._printed = "".join(map(self._command, block.commands))
        elif is_sample(block):
            compare = same_shape if block.language == "json" else same_words
            compare(block.text, self._printed)
        elif block.language == "python" and block.source is None:
            self._printed = self._program(block)

    def _command(self, command: str) -> str:
        """Return what a command prints if it is run here; check it otherwise."""
        (way,) = ways_of(command)
        check = WAYS[way][1]
        if check is not None:
            check(command)
            return ""
        command = command.replace("localhost:8000", self._host)
        return self._impasto(command) if is_plain(command) else self._shell(command)

    def _impasto(self, command: str) -> str:
        more = next((more for start, more in SMALLER.items() if command.startswith(start)), ())
        words = [re.sub("^~", str(self._folder), word) for word in (*shlex.split(command), *more)]
        done = run(*words[1:], folder=self._folder, environment=self._environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _shell(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        status = re.search(r"^status (\d+)", done.stderr, re.MULTILINE)
        failed = status is not None and int(status[1]) >= 400
        assert not failed or '"urn:impasto:problem:' in done.stdout, done.stdout
        return done.stdout

    def _program(self, block: Block) -> str:
        program = block.text.replace("localhost:8000", self._host)
        tree = ast.parse(program)
        ast.increment_lineno(tree, block.line)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(tree, block.document, "exec"), self._names)  # noqa: S102
        return printed.getvalue()


def is_plain(command: str) -> bool:
    return command.startswith("impasto ") and SHELL.search(command) is None


def same_shape(shown: str, printed: str) -> None:
    """Assert that the printed JSON has the keys and texts that are shown, and numbers where numbers are shown."""
    for sample, real in zip(documents(shown), documents(printed)[-len(documents(shown)) :], strict=True):
        assert seen(real, sample) == seen(sample, sample)


def documents(text: str) -> list[Any]:
    """Return the JSON documents that follow one another in a text."""
    decoder, found, rest = json.JSONDecoder(), [], text.strip()
    while rest:
        document, end = decoder.raw_decode(rest)
        found.append(document)
        rest = rest[end:].strip()
    return found


def seen(value: Any, sample: Any) -> Any:
    """Return the part of a value that a sample shows, with kinds in place of numbers and of ids."""
    if isinstance(sample, dict) and isinstance(value, dict):
        return {key: seen(value.get(key, "missing"), each) for key, each in sample.items()}
    if isinstance(sample, list) and isinstance(value, list):
        return [seen(each, shown) for each, shown in zip(value, sample, strict=False)]
    if isinstance(value, str):
        return re.sub(r"\b[0-9a-f]{32}\b", "id", value)
    return value if value is None else type(value).__name__.replace("float", "int")


def same_words(shown: str, printed: str) -> None:
    """Assert that each line that is shown was printed, in this order, but for what varies."""
    lines = iter(printed.splitlines())
    for line in shown.splitlines():
        fixed = [re.escape(part) for part in VARYING.split(line)]
        pattern = re.compile(r"\S+".join(fixed))
        assert any(pattern.fullmatch(each) for each in lines), f"{line!r} is not in {printed!r}"


@pytest.mark.parametrize("block", [block for block in ALL if block.source], ids=lambda block: block.place)
def test_an_excerpt_is_in_its_file(block: Block) -> None:
    assert block.source is not None
    lines = [line.strip() for line in (PROJECT / block.source).read_text().splitlines()]
    wanted = [line.strip() for line in block.text.splitlines()]
    assert any(lines[start : start + len(wanted)] == wanted for start in range(len(lines)))


@pytest.mark.parametrize("block", [block for block in ALL if is_drawing(block)], ids=lambda block: block.place)
def test_a_drawing_has_the_packages(block: Block) -> None:
    for package in ("trainer", "model_store", "service", "impasto"):
        assert package in block.text
        assert (PROJECT / package / "__init__.py").is_file()


def test_the_tree_of_errors_is_that_of_the_client() -> None:
    (block,) = (block for block in ALL if is_tree(block))
    branch = re.compile(r"^[│├└─ ]*── \w+", re.MULTILINE)
    assert branch.findall(block.text) == branch.findall(errors.__doc__ or "")


def test_curl_is_there() -> None:
    assert shutil.which("curl"), "the documents are tested by curl: install it"
