"""Mutated pictures of every kind end as pixels or as a problem of the client's, in bounded time and memory."""

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from .fuzz import Record, run
from .mutations import mutated
from .small_pictures import small_pictures
from .trial import try_file

PICTURES = small_pictures()


@pytest.mark.parametrize("picture", PICTURES.values(), ids=list(PICTURES))
def test_the_pictures_that_are_mutated_are_good_ones(picture: bytes) -> None:
    assert try_file(picture) == 200


@pytest.mark.process
def test_no_mutated_picture_is_answered_otherwise_than_any_file_should_be(tmp_path: Path) -> None:
    campaign = run(20, tmp_path, is_guided=False)
    assert [path.with_suffix(".txt").read_text() for path in campaign.findings] == []
    assert campaign.inputs > 200


def test_the_same_numbers_make_the_same_mutation() -> None:
    for picture in PICTURES.values():
        first, second = (mutated(picture, b"other", Random(7)) for _ in range(2))  # noqa: S311
        assert first == second


@pytest.mark.process
def test_the_input_that_kills_the_process_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "record"
    begin = f"Record(pathlib.Path({str(path)!r})).begin(b'killer')"
    dies = f"import os, pathlib; from tests.hostile.fuzz import Record; {begin}; os.abort()"
    done = subprocess.run([sys.executable, "-c", dies], cwd=Path(__file__).parents[2], check=False)
    assert done.returncode < 0
    assert (Record(path).inputs, Record(path).last) == (1, b"killer")
