"""What an examination yields, and what is made of one that breaks off."""

import importlib.util
from collections.abc import Callable, Iterator
from typing import NamedTuple

from pydantic import JsonValue, ValidationError

from model_store.command import say_what_is_wrong
from model_store.errors import ImpastoError


class Fact(NamedTuple):
    """One thing that was seen."""

    name: str
    text: str
    """For people."""
    value: JsonValue = None
    """For programs; the text, if there is none."""


class Finding(NamedTuple):
    """Something that should work and does not."""

    text: str
    """A sentence that says what is wrong and what to do."""


Examination = Callable[[], Iterator[Fact | Finding]]


def examined(title: str, examination: Examination) -> Iterator[Fact | Finding]:
    """Yield what an examination yields; an error ends it with a finding, except that of a package not installed."""
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
