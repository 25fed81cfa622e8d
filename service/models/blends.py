"""What is asked for: a model, or a blend of several, each with its share."""

import math
from typing import NamedTuple

from service.contract.problems import BadOption

MOST_PARTS = 8


class Part(NamedTuple):
    """One model of a blend."""

    label: str
    """Its name, or `name@version`."""
    share: float
    """In hundredths, above 0 and at most 1."""


def parse(text: str) -> list[Part]:
    """Reads `muse`, `muse@2` or `muse:0.7,great-wave@1:0.3`.

    Shares are divided by their sum and rounded to hundredths, which bounds how many blends there are; parts whose share
    rounds to 0 are left out. Whether the models exist is not looked at.

    Args:
        text: a label, or up to 8 with shares that are finite, at least 0 and not all 0.

    Returns:
        At least one part, in the order of the text.

    Raises:
        BadOption: it is neither.
    """
    if "," not in text and ":" not in text:
        return [Part(text, 1.0)]
    pieces = text.split(",")
    if len(pieces) > MOST_PARTS:
        raise BadOption(f"a blend has at most {MOST_PARTS} parts, not {len(pieces)}: leave out those that matter least")
    parts = [_parse_part(piece) for piece in pieces]
    total = sum(part.share for part in parts)
    if not 0 < total < math.inf:
        raise BadOption(f"the shares of {text!r} add up to {total:g}: make that finite and above 0")
    rounded = [Part(label, round(share / total, 2)) for label, share in parts]
    return [part for part in rounded if part.share > 0]


def blend_for_factor(factor: int, *, blurred: bool = False, fidelity: float = 1.0) -> str:
    """The text of the net, or of the two, that enlarge by a factor.

    Args:
        factor: of enlargement.
        blurred: whether to take the net for pictures that were blurred before they were shrunk.
        fidelity: 0 to 1; the share of the net of the pixel loss, beside that of the feature loss.

    Raises:
        BadOption: blurred pictures have no net of the feature loss.
    """
    if not blurred:
        return f"x{factor}-pixel:{fidelity},x{factor}-feature:{1 - fidelity}"
    if fidelity != 1:
        raise BadOption("blurred pictures are enlarged at fidelity 1 only: leave out blurred or fidelity")
    return f"x{factor}-pixel-blurred"


def _parse_part(piece: str) -> Part:
    label, colon, number = piece.partition(":")
    if not colon:
        raise BadOption(f"the part {piece!r} of the blend has no share: write each as in muse:0.7")
    try:
        share = float(number)
    except ValueError:
        share = math.nan
    if not 0 <= share < math.inf:
        raise BadOption(f"{number!r} cannot be the share of {label!r}: give a number from 0 up, as in muse:0.7")
    return Part(label, share)
