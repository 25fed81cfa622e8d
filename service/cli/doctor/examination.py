"""The facts and findings of an examination, also of one that ends with an error."""

import importlib.util
from collections.abc import Callable, Iterator
from typing import NamedTuple

from pydantic import JsonValue, ValidationError

from model_store.command import say_what_is_wrong
from model_store.errors import ImpastoError


class Fact(NamedTuple):
    """One fact about the installation."""

    name: str
    text: str
    """Text for people."""
    value: JsonValue = None
    """Value for programs; if None, they get the text."""


class Finding(NamedTuple):
    """Something that should work and does not."""

    text: str
    """A sentence that says what is wrong and what to do."""


Examination = Callable[[], Iterator[Fact | Finding]]


def examined(title: str, examination: Examination) -> Iterator[Fact | Finding]:
    """Yield the facts and findings of an examination; an error is a finding, a package that is not installed a fact."""
    try:
        yield from examination()
    except ImpastoError as error:
        yield Finding(str(error))
    except ValidationError as error:
        yield Finding(f"{say_what_is_wrong(error)}: correct or unset it")
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package and importlib.util.find_spec(package) is None:
            yield Fact(title, f"not examined, because {package} is not installed")
        else:
            yield Finding(f"{package} is installed in part ({error}): install it again")
    except Exception as error:
        yield Finding(f"the {title} cannot be examined: {type(error).__name__}: {error}; please report this")
