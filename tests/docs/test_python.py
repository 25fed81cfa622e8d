"""docs/python.md lists the arguments of the client, and all of an answer."""

import inspect

from impasto import Answer, Client

from .markdown import PROJECT, table

PYTHON = PROJECT / "docs/python.md"


def test_every_argument_of_the_client_is_listed_with_its_default() -> None:
    listed = table(PYTHON, "How do I paint a photo?")
    parameters = {name: each for name, each in inspect.signature(Client).parameters.items() if each.default is not None}
    assert {name for name in listed if name.isidentifier()} - {"Client"} >= set(parameters)
    assert listed["url"][0] == f"`{parameters['url'].default}`"
    assert listed["retries"][0] == str(parameters["retries"].default)
    mapping = inspect.signature(Client.map).parameters
    assert set(table(PYTHON, "How do I make many pictures?")) == set(mapping) - {"self", "pictures", "options"}


def test_everything_of_an_answer_is_listed() -> None:
    listed = {name.partition("(")[0] for name in table(PYTHON, "What comes back?") if name != "Answer"}
    public = {name for name in (*Answer.__dataclass_fields__, *vars(Answer)) if not name.startswith("_")}
    assert {name for name in listed if name.isidentifier()} == public - {"from_response"}
