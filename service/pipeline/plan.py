"""The plan of a picture: what is made of an upload and what that costs, known before anything is decoded."""

from typing import NamedTuple

from model_store.card import SMALLEST_SIDE
from service import codec
from service.contract.options import Format
from service.contract.problems import BadPicture
from service.pipeline.transformation import Transformation

_MOST_NARROW = 2_000
"""Largest ratio of the sides of an upload."""


class Plan(NamedTuple):
    """The plan of one picture that is to be made."""

    header: codec.Header
    transformation: Transformation
    """The transformation of the upload's pixels, which are decoded to the size that is transformed."""
    format: Format
    """Format of the answer."""
    inspect_seconds: float
    """Seconds that were spent on reading the header."""
    net_seconds: float | None = None
    """Least seconds that the net takes on this device, or None if it is not known."""

    @property
    def pixels(self) -> int:
        """Return the number of pixels of the upload and of what the nets make, together."""
        made = self.transformation
        return self.header.width * self.header.height + made.width * made.height * made.net.factor**2

    def how_to_shrink(self, share: float) -> str:
        """Return the advice for a picture of which only a share of the pixels can be computed."""
        made = self.transformation
        if made.net.task == "stylize":
            return f"add size={max(SMALLEST_SIDE, int(max(made.width, made.height) * share**0.5))}"
        return f"send a picture of at most {int(made.width * made.height * share):,} pixels"


def check_shape(header: codec.Header) -> None:
    """Check that the nets can take a picture of these sides.

    Raises:
        BadPicture: The upload is extremely long and narrow.
    """
    width, height = header.width, header.height
    if max(width, height) > _MOST_NARROW * min(width, height):
        raise BadPicture(
            f"a picture of {width:,}×{height:,} is too narrow: its longer side may be "
            f"{_MOST_NARROW:,} times the shorter one"
        )


def check_format(plan: Plan) -> None:
    """Check that the format of the answer can hold it.

    Raises:
        TooLarge: The answer would have a longer side than its format can hold.
    """
    made = plan.transformation
    codec.check_room(plan.format, round(made.width * made.factor), round(made.height * made.factor))
