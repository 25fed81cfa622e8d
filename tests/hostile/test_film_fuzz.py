"""Mutated films of every kind end as a film or as a problem of the client's, in a process that may die."""

from pathlib import Path

import pytest

from .film_trial import try_film
from .fuzz import run
from .mutations import MOST_BYTES
from .small_films import small_films


@pytest.mark.parametrize("kind", small_films())
def test_the_films_that_are_mutated_are_good_ones(kind: str) -> None:
    film = small_films()[kind]
    assert len(film) < MOST_BYTES
    assert try_film(film) == 200


@pytest.mark.process
def test_no_mutated_film_is_answered_otherwise_than_any_film_should_be(tmp_path: Path) -> None:
    campaign = run(20, tmp_path, is_guided=False, of_films=True)
    assert [path.with_suffix(".txt").read_text() for path in campaign.findings] == []
    assert campaign.inputs > 100
