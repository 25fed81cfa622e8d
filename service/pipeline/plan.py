"""The plan of a picture: what is made of an upload and what that costs, known before anything is decoded."""

from typing import NamedTuple

from model_store.card import SMALLEST_SIDE
from model_store.nets import TransformNet
from service import codec
from service.contract.options import Format, Options, StylizeOptions
from service.contract.problems import BadPicture, TooLarge
from service.models.loaded import Loaded

_MEGABYTE = 1_000_000
"""Bytes of a megabyte."""
_MOST_NARROW = 2_000
"""Largest ratio of the sides of an upload."""


class Plan(NamedTuple):
    """The plan of one picture that is to be made."""

    header: codec.Header
    options: Options
    """Options of this picture; a `size` of an enlargement has become a `scale`."""
    model: str
    """Name and version of the net, or of each net of a blend with its share."""
    digest: str
    """Text that differs between nets whose weights differ."""
    net: TransformNet
    """The net that computes the picture, on the device."""
    enlarger: TransformNet | None
    """The net that enlarges the painting, on the device, if it is painted smaller than it is answered."""
    width: int
    """Width in pixels to which the upload is decoded, as stored: EXIF may say that the picture is turned by 90°."""
    height: int
    """Height in pixels to which the upload is decoded, as stored."""
    factor: float
    """Factor of enlargement of the answer, 1 for a painting; the net's own factor may be larger."""
    format: Format
    """Format of the answer."""
    inspect_seconds: float
    """Seconds that were spent on reading the header."""
    net_seconds: float | None = None
    """Least seconds that the net takes on this device, or None if it is not known."""

    @property
    def needs_net(self) -> bool:
        """Tell whether a net has to compute anything: a painting of strength 0 is the photo itself."""
        return not (isinstance(self.options, StylizeOptions) and self.options.strength == 0)

    @property
    def nets(self) -> list[TransformNet]:
        """Return the nets that compute the picture one after the other."""
        return [self.net] if self.enlarger is None else [self.net, self.enlarger]

    @property
    def seen(self) -> tuple[int, int]:
        """Return the width and height in pixels of what the net sees, as stored."""
        if not isinstance(self.options, StylizeOptions):
            return self.width, self.height
        return self.options.painted(self.width, self.height)

    @property
    def pixels(self) -> int:
        """Return the number of pixels of the upload and of what the nets make, together."""
        return self.header.width * self.header.height + self.width * self.height * self.net.factor**2

    def how_to_shrink(self, share: float) -> str:
        """Return the advice for a picture of which only a share of the pixels can be computed."""
        if self.net.task == "stylize":
            return f"add size={max(SMALLEST_SIDE, int(max(self.width, self.height) * share**0.5))}"
        return f"send a picture of at most {int(self.width * self.height * share):,} pixels"


def plan_picture(header: codec.Header, options: Options, model: Loaded, inspect_seconds: float) -> Plan:
    """Return the plan for an upload.

    Args:
        header: Header of the upload.
        options: Options for this picture; see `PictureOptions.for_picture`.
        model: The net that the options name.
        inspect_seconds: Seconds that were spent on reading the header.
    """
    answered_as = header.format if options.format == "auto" else options.format
    if isinstance(options, StylizeOptions):
        width, height = options.resized(header.width, header.height)
        net, factor = model.net, 1.0
    else:
        width, height = header.width, header.height
        net, factor = model.self_ensemble if options.self_ensemble else model.net, options.enlargement
    return Plan(
        header,
        options,
        model.label,
        model.digest,
        net,
        model.enlarger,
        width,
        height,
        factor,
        answered_as,
        inspect_seconds,
    )


def check_size(plan: Plan, max_pixels: int) -> None:
    """Check that the net can take the picture, that the answer is not too large, and that its format can hold it.

    Args:
        plan: Plan of the picture.
        max_pixels: Largest number of pixels that the answer may have.

    Raises:
        BadPicture: The upload is extremely long and narrow.
        TooLarge: The answer would have too many pixels, or a longer side than its format can hold.
    """
    width, height = plan.width, plan.height
    stored = plan.header.width, plan.header.height
    if max(stored) > _MOST_NARROW * min(stored):
        raise BadPicture(
            f"a picture of {stored[0]:,}×{stored[1]:,} is too narrow: its longer side may be "
            f"{_MOST_NARROW:,} times the shorter one"
        )
    answer_width, answer_height = round(width * plan.factor), round(height * plan.factor)
    if answer_height * answer_width > max_pixels:
        raise TooLarge(
            f"the answer would have {answer_width:,}×{answer_height:,} pixels; this server makes "
            f"up to {max_pixels:,} in all: send a smaller picture, or ask for a smaller answer"
        )
    codec.check_room(plan.format, answer_width, answer_height)


def check_memory(plan: Plan, net_bytes: int) -> None:
    """Check that the picture can be computed in the memory that nets may use.

    Args:
        plan: Plan of the picture.
        net_bytes: Bytes of memory that nets may compute in.

    Raises:
        TooLarge: The picture would need more memory.
    """
    width, height = plan.seen
    needed = max(net.bytes_needed(height, width) for net in plan.nets)
    if needed > net_bytes:
        shrunk = ", or have it painted smaller by 'size'" if plan.net.task == "stylize" else ""
        raise TooLarge(
            f"{width:,}×{height:,} pixels would need {needed / _MEGABYTE:,.0f} MB of memory with this model, "
            f"and this server has {net_bytes / _MEGABYTE:,.0f} MB for it: send a smaller picture{shrunk}, or give the "
            "server more memory"
        )
