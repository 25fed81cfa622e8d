"""The options of the calls: the same names as on the wire, and the same defaults."""

from collections.abc import Mapping
from typing import TypedDict

from model_store.card import Task
from model_store.suggestion import did_you_mean
from service.contract import options

Style = str | Mapping[str, float]
"""A name or `name@version`, or a blend of up to 8: of such names their shares, or the same as text, as in
`muse:0.7,candy:0.3`; shares are at least 0, and divided by their sum."""
Format = options.RequestedFormat
"""The format of an answer; `auto` is the upload's."""


class PictureOptions(TypedDict, total=False):
    """Of every picture."""

    format: Format
    """Of the answer; `auto` if not given."""
    quality: int
    """1 to 100, of JPEG, WebP and AVIF; 90 if not given."""
    keep_metadata: bool
    """Whether the answer has the metadata of the upload; False if not given."""


class StylizeOptions(PictureOptions, total=False):
    """Of `stylize`."""

    strength: float
    """From 0, the photo, to 1, the painting; 1 if not given."""
    preserve_color: bool
    """Whether to keep the colours of the photo; False if not given."""
    size: int | None
    """Pixels of the longest side to which the photo is resized before it is painted; as it is if not given."""


class SuperResolveOptions(PictureOptions, total=False):
    """Of `super_resolve`."""

    factor: int
    """Of enlargement: 2, 4 or 8; 4 if not given."""
    fidelity: float
    """From 1, true to the picture, to 0, sharp with made-up detail; 1 if not given."""
    blurred: bool
    """Whether the picture is soft because it was blurred before it was shrunk, as photos of many cameras are."""
    self_ensemble: bool
    """Whether to take the mean over the picture's eight turns and mirrorings: about 0.2 dB better, eight times the
    work."""
    match_histogram: bool
    """Whether to give the answer the picture's distribution of colours, channel by channel."""


class MapOptions(StylizeOptions, SuperResolveOptions, total=False):
    """Of `map`: with a style those of `stylize`, else those of `super_resolve`."""

    style: Style
    """What to paint in; to enlarge if not given."""


_OPTIONS: dict[Task, type[options.PictureOptions]] = {
    "stylize": options.StylizeOptions,
    "super-resolve": options.SuperResolveOptions,
}


def query_of(task: Task, given: Mapping[str, object]) -> dict[str, str]:
    """What to send of the options: those that are not the default, which an older server need not know.

    Raises:
        TypeError: the task has no such option.
    """
    defaults = {name: field.default for name, field in _OPTIONS[task].model_fields.items()}
    for name in given:
        if name not in defaults:
            raise TypeError(f"there is no option {name!r} to {task}{did_you_mean(name, defaults)}")
    return {name: _text(value) for name, value in given.items() if value != defaults[name]}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return ",".join(f"{name}:{share}" for name, share in value.items())
    return str(value)
