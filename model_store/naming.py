"""The names of the nets for super-resolution, which consist of the factor and the kind of net."""

import re
from collections.abc import Iterable
from typing import Literal, get_args

Kind = Literal["pixel", "feature", "pixel-blurred", "srcnn"]
"""The kinds of nets: `pixel` and `feature` minimise the loss of that name, `pixel-blurred` is for pictures that were
blurred before they were shrunk, and `srcnn` is the net of Dong et al. 2014, for comparison."""
_KINDS: tuple[Kind, ...] = get_args(Kind)


def super_resolution_name(factor: int, kind: Kind) -> str:
    """Return the name of the net that enlarges by a factor, as in `x4-pixel`."""
    return f"x{factor}-{kind}"


def kind_of(label: str) -> Kind | None:
    """Return the kind of net that a name or `name@version` says, or None if it is not a name of this form."""
    match = re.fullmatch(r"x[1-9][0-9]*-([a-z-]+)", label.partition("@")[0])
    return next((kind for kind in _KINDS if match and match[1] == kind), None)


def factors_of(kind: Kind, names: Iterable[str]) -> list[int]:
    """Return the factors, in ascending order, for which there is a net of this kind among the names."""
    matches = (re.fullmatch(rf"x([1-9][0-9]*)-{kind}", name) for name in names)
    return sorted(int(match[1]) for match in matches if match)
