"""The names of models that say more than which one: nets for super-resolution, and light nets.

The name of a net for super-resolution consists of the factor and the kind of net, as in `x4-pixel`. The light net of a
model has its name and `-light`, as in `muse-light`.
"""

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


_LIGHT = "-light"
"""The end of the name of every light net."""


def light_label(label: str) -> str:
    """Return the name, or `name@version`, of a light net: `muse-light@2` for `muse@2`."""
    name, at, version = label.partition("@")
    return f"{name}{_LIGHT}{at}{version}"


def full_name(name: str) -> str | None:
    """Return the name of the model of which a name is that of the light net, or None if it is not such a name."""
    return name.removesuffix(_LIGHT) if name.endswith(_LIGHT) else None


def with_light_nets(names: Iterable[str]) -> list[str]:
    """Return the names that have a light net among the names, in their order."""
    known = list(names)
    return [name for name in known if light_label(name) in known]


def without_light_nets(names: Iterable[str]) -> list[str]:
    """Return the names without those of the light nets of others among them, in their order."""
    known = list(names)
    return [name for name in known if full_name(name) not in known]
