"""Model cards and labels, and the values that they refuse."""

import pytest
from pydantic import ValidationError

from model_store.card import Draft, parse_label
from model_store.errors import BadLabel


def test_a_label_is_a_name_or_a_name_with_a_version() -> None:
    assert parse_label("muse") == ("muse", None)
    assert parse_label("muse@12") == ("muse", 12)


@pytest.mark.parametrize("label", ["", "@1", "muse@", "muse@0", "muse@-1", "muse@latest", "muse@1@2"])
def test_anything_else_is_refused_as_a_label(label: str) -> None:
    with pytest.raises(BadLabel, match="does not name a model"):
        parse_label(label)


@pytest.mark.parametrize("name", ["", "Muse", "../muse", "a/b", ".hidden", "a" * 65, "süß"])
def test_a_name_that_some_file_system_does_not_take_is_refused(draft: Draft, name: str) -> None:
    with pytest.raises(ValidationError, match="name"):
        Draft.model_validate({**draft.model_dump(), "name": name})


def test_only_super_resolution_has_a_factor(draft: Draft) -> None:
    with pytest.raises(ValidationError, match="factor"):
        Draft.model_validate({**draft.model_dump(), "factor": 4})
    with pytest.raises(ValidationError, match="factor"):
        Draft.model_validate({**draft.model_dump(), "task": "super-resolve"})
    assert Draft.model_validate({**draft.model_dump(), "task": "super-resolve", "factor": 4}).factor == 4


def test_a_card_of_a_later_version_with_more_fields_can_be_read(draft: Draft) -> None:
    assert Draft.model_validate({**draft.model_dump(), "mood": "blue"}) == draft
