"""What is to be made of an upload, and what that costs; known before anything is decoded."""

from typing import NamedTuple

from model_store.card import SMALLEST_SIDE
from model_store.nets import TransformNet
from service import codec
from service.contract.options import Format, Options, StylizeOptions
from service.contract.problems import BadPicture, TooLarge
from service.inference import bytes_per_pixel
from service.models.loaded import Loaded


class Plan(NamedTuple):
    """One picture that is to be made."""

    header: codec.Header
    options: Options
    model: str
    """Name and version of the net, or of each net of a blend with its share."""
    net: TransformNet
    """The net that computes the picture, on the device."""
    width: int
    """Width that the net sees, in pixels as stored: EXIF may exchange it with the height."""
    height: int
    """Height that the net sees, in pixels as stored."""
    factor: int
    """Factor of enlargement of the answer, of which the net's may be a multiple; 1 for a painting."""
    format: Format
    """Format of the answer."""
    inspect_seconds: float
    """Time that was spent on the header."""

    @property
    def needs_net(self) -> bool:
        """Whether anything is computed: a painting of strength 0 is the photo itself."""
        return not (isinstance(self.options, StylizeOptions) and self.options.strength == 0)

    @property
    def pixels(self) -> int:
        """The pixels of the upload and of what the net makes, together."""
        return self.header.width * self.header.height + self.width * self.height * self.net.factor**2


def plan_picture(header: codec.Header, options: Options, model: Loaded, inspect_seconds: float) -> Plan:
    """Decide what is to be made of an upload with this header."""
    answered_as = header.format if options.format == "auto" else options.format
    if isinstance(options, StylizeOptions):
        width, height = options.resized(header.width, header.height)
        net, factor = model.net, 1
    else:
        width, height = header.width, header.height
        net, factor = model.self_ensemble if options.self_ensemble else model.net, options.factor
    return Plan(header, options, model.label, net, width, height, factor, answered_as, inspect_seconds)


def check_size(plan: Plan, max_pixels: int) -> None:
    """Make sure that the net can take the picture, that the answer is not too large, and that its format holds it.

    Args:
        plan: The picture.
        max_pixels: Pixels that the net may make.

    Raises:
        BadPicture: A side is shorter than every net needs.
        TooLarge: The answer would be.
    """
    width, height = plan.width, plan.height
    if min(height, width) < SMALLEST_SIDE:
        raise BadPicture(f"a picture of {width}×{height} is too small: both sides must be at least {SMALLEST_SIDE}")
    if height * width * plan.net.factor**2 > max_pixels:
        raise TooLarge(
            f"{width * plan.net.factor:,}×{height * plan.net.factor:,} pixels would be computed; this server makes "
            f"up to {max_pixels:,} in all: send a smaller picture, or ask for a smaller answer"
        )
    codec.check_room(plan.format, width * plan.factor, height * plan.factor)


def check_memory(plan: Plan, net_bytes: int) -> None:
    """Make sure that the picture can be computed in the memory that there is.

    Args:
        plan: The picture.
        net_bytes: Bytes of memory that nets may compute in.

    Raises:
        TooLarge: It would need more.
    """
    most = net_bytes // bytes_per_pixel(plan.net)
    if plan.width * plan.height > most:
        shrunk = ", or have it painted smaller by 'size'" if plan.net.task == "stylize" else ""
        raise TooLarge(
            f"{plan.width:,}×{plan.height:,} pixels would need more memory than this server has; with this model "
            f"it takes up to {most:,} in all: send a smaller picture{shrunk}, or give the server more memory"
        )
