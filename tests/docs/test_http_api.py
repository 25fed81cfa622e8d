"""docs/http-api.md lists every option, with an example that a server takes, and every problem."""

from pathlib import Path

import httpx
import pytest
from pydantic import BaseModel

from service.contract import problems
from service.contract.options import StylizeOptions, SuperResolveOptions
from service.contract.problems import Problem

from .markdown import PROJECT, as_text, code, rows, section, table

API = PROJECT / "docs/http-api.md"
OPEN = {
    StylizeOptions: {"size": "that of the photo"},
    SuperResolveOptions: {"factor": "4", "scale": "that of `factor`", "size": "that of `factor`"},
}
"""What options without a default follow from."""


@pytest.mark.parametrize(
    ("options", "heading"), [(StylizeOptions, "How do I paint?"), (SuperResolveOptions, "How do I enlarge?")]
)
def test_every_option_of_the_api_is_listed_with_its_default(options: type[BaseModel], heading: str) -> None:
    listed = table(API, heading)
    common = set(table(API, "How do I paint?")) & set(SuperResolveOptions.model_fields)
    assert set(listed) | (common if options is SuperResolveOptions else set()) == set(options.model_fields)
    for name, (default, example, _) in listed.items():
        assert default == default_of(options, name)
        assert code(example)[0].startswith(f"{name}=")


def default_of(options: type[BaseModel], name: str) -> str:
    field = options.model_fields[name]
    if field.is_required():
        return "required"
    return OPEN[options][name] if field.default is None else as_text(field.default)


@pytest.mark.process
@pytest.mark.parametrize(("task", "heading"), [("stylize", "How do I paint?"), ("super-resolve", "How do I enlarge?")])
def test_every_example_of_an_option_is_taken(served: str, folder: Path, task: str, heading: str) -> None:
    photo = (folder / "small.png").read_bytes()
    for _, _, example, _ in rows(section(API, heading)):
        query = code(example)[0]
        style = "&style=muse" if task == "stylize" and not query.startswith("style=") else ""
        answer = httpx.post(f"{served}/{task}?{query}{style}", content=photo, timeout=60)
        assert answer.is_success, answer.text


def test_every_problem_is_listed_with_its_status() -> None:
    kinds: list[type[Problem]] = [
        kind for kind in vars(problems).values() if isinstance(kind, type) and issubclass(kind, Problem)
    ]
    listed = [(first, code(second)[0]) for first, second, *_ in rows(section(API, "What do errors look like?"))]
    assert sorted(listed) == sorted((str(kind.status), kind.name) for kind in kinds if kind is not Problem)
