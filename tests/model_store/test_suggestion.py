"""The suggestion of a name for a mistyped one."""

import pytest

from model_store.suggestion import did_you_mean

STYLES = ["candy", "great-wave", "muse"]


@pytest.mark.parametrize("word", ["grate-wave", "great_wave", "Great-Wave", "great-wave@2", "greatwave"])
def test_a_mistyped_name_gets_a_suggestion(word: str) -> None:
    assert did_you_mean(word, STYLES) == " (did you mean great-wave?)"


@pytest.mark.parametrize(("word", "known"), [("cubism", STYLES), ("", STYLES), ("muse", [])])
def test_nothing_is_suggested_if_no_name_is_close(word: str, known: list[str]) -> None:
    assert did_you_mean(word, known) == ""
