from collections.abc import Iterator

import pytest

from service.contract import problems
from service.contract.problems import Problem

from ..error_tree import parents_drawn


def descendants(parent: type[Problem]) -> Iterator[type[Problem]]:
    for kind in parent.__subclasses__():
        yield kind
        yield from descendants(kind)


KINDS = list(descendants(Problem))


def test_the_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    real = {kind.__name__: kind.__base__.__name__ for kind in KINDS}
    assert parents_drawn(problems.__doc__) == real


@pytest.mark.parametrize("kind", KINDS)
def test_the_docstring_has_the_status_of_every_problem(kind: type[Problem]) -> None:
    line = next(line for line in problems.__doc__.splitlines() if f"─ {kind.__name__} " in line)
    assert f" {kind.status} " in line


def test_every_problem_has_a_type_of_its_own() -> None:
    types = [kind("").document("id").type for kind in KINDS]
    assert len(set(types)) == len(types)


@pytest.mark.parametrize("kind", KINDS)
def test_a_document_has_the_detail_and_the_request_id(kind: type[Problem]) -> None:
    document = kind("do it differently").document("request-1")
    assert document.type.startswith("urn:impasto:problem:")
    assert document.title
    assert document.status == kind.status
    assert document.detail == "do it differently"
    assert document.request_id == "request-1"
