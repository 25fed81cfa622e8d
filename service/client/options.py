"""The options that calls of the client take, with the names and defaults of the HTTP API."""

from collections.abc import Mapping
from typing import TypedDict

from model_store.card import Task
from model_store.suggestion import did_you_mean
from service.contract import options

Style = str | Mapping[str, float]
"""A style, such as `muse` or `muse@1`; or a blend of up to 8, as a mapping from such names to their shares or as text,
such as `muse:0.7,candy:0.3`. Shares are at least 0, and are divided by their sum."""
Format = options.RequestedFormat
"""The format of an answer: `jpeg`, `png`, `webp`, `avif`, or `auto`, which is that of the upload."""


class PictureOptions(TypedDict, total=False):
    """The options that `stylize` and `super_resolve` have in common."""

    format: Format
    """The format of the answer: `jpeg`, `png`, `webp`, `avif` or `auto`. The default is `auto`: the upload's format,
    with PNG for TIFF and GIF, and JPEG for HEIC."""
    quality: int
    """The quality of a JPEG, WebP or AVIF, from 1 to 100. The default is 90."""
    keep_metadata: bool
    """Keep all EXIF and XMP of the upload. The default, False, keeps the EXIF without the place, the maker's notes and
    serial numbers."""


class StylizeOptions(PictureOptions, total=False):
    """The options of `stylize`, besides the style."""

    strength: float
    """The share of the painting in its mix with the photo, from 0, the photo, to 1, the painting. The default is 1."""
    preserve_color: bool
    """Keep the colours of the photo, and take only light and dark from the painting. The default is False."""
    light: bool
    """Paint with the light net of the style, for which there must be one: it takes a fifth of the time and looks nearly
    the same. A version in `style` is then that of the light net. The default is False."""
    size: int | None
    """The longest side, in pixels from 16, to which the photo is resized before it is painted. A smaller one gets
    broader strokes. The default is None: the photo's own size."""
    stroke: float
    """How many times as broad as usual the strokes are, from 1 to 8. The painting is enlarged by a super-resolution net
    to the photo's size. The default is 1."""


class SuperResolveOptions(PictureOptions, total=False):
    """The options of `super_resolve`."""

    factor: int | None
    """The factor of enlargement: 2, 4, 8, or another for which the server has a model. It is 4 where neither a scale
    nor a size is given."""
    scale: float | None
    """Any enlargement from 1 to 8, instead of the factor. The default is None: the factor holds."""
    size: int | None
    """The longest side of the answer in pixels, instead of the factor: as long as the picture's, up to 8 times as long.
    The default is None: the factor or the scale holds."""
    fidelity: float
    """The balance from 1, true to the picture, to 0, sharp with made-up detail. The default is 1."""
    blurred: bool
    """Use the net for pictures that were blurred before they were shrunk, as photos of many cameras are. The default is
    False."""
    self_ensemble: bool
    """Take the mean over the picture's eight turns and mirrorings, which is about 0.2 dB better and eight times the
    work. The default is False."""
    match_histogram: bool
    """Give the answer the picture's distribution of colours, channel by channel. The default is False."""


class MapOptions(StylizeOptions, SuperResolveOptions, total=False):
    """The options of `map`: those of `stylize` if `style` is given, else those of `super_resolve`."""

    style: Style
    """The style or blend to paint in. Without one, `map` enlarges the pictures."""


_OPTIONS: dict[Task, type[options.PictureOptions]] = {
    "stylize": options.StylizeOptions,
    "super-resolve": options.SuperResolveOptions,
}


def query_of(task: Task, given: Mapping[str, object]) -> dict[str, str]:
    """Return the query parameters for the options.

    Options at their default are left out, so that a server that is older than an option is sent it only when it is
    used.

    Raises:
        TypeError: The task has no such option.
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
