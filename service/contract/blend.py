"""A blend: the models whose weights are mixed for one net, each with its share. One model alone is a blend, too."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from model_store.naming import light_label
from service.contract.problems import BadOption

MOST_PARTS = 8
"""Largest number of models in one blend."""
_LONGEST_TEXT = 800
"""Largest number of characters of a blend that is written as text."""


class Part(NamedTuple):
    """One model of a blend, with its share."""

    label: str
    """The model's name, or `name@version`."""
    share: float
    """The model's share, a multiple of 0.01 above 0 and at most 1."""


@dataclass(frozen=True)
class Blend:
    """Up to eight models with their shares; as a field of a pydantic model it is read from text."""

    parts: tuple[Part, ...]
    """At least one part, in the order in which they were asked for."""

    @classmethod
    def of(cls, label: str) -> Self:
        """Return the blend that is one model alone."""
        return cls((Part(label, 1.0),))

    @classmethod
    def mix(cls, shares: Iterable[tuple[str, float]]) -> Self:
        """Return the blend of these shares, divided by their sum and rounded to hundredths.

        Parts whose share rounds to 0 are left out. Rounding bounds how many different blends exist.

        Args:
            shares: Up to 8 labels, each with a share that is finite and at least 0; not all are 0.

        Raises:
            BadOption: There are more than eight parts, or their sum is 0 or infinite.
        """
        wanted = list(shares)
        if len(wanted) > MOST_PARTS:
            raise BadOption(
                f"a blend has at most {MOST_PARTS} parts, not {len(wanted)}: leave out those that matter least"
            )
        total = sum(share for _, share in wanted)
        if not 0 < total < math.inf:
            labels = ", ".join(label for label, _ in wanted)
            raise BadOption(f"the shares of {labels} add up to {total:g}: make that finite and above 0")
        rounded = (Part(label, round(share / total, 2)) for label, share in wanted)
        return cls(tuple(part for part in rounded if part.share > 0))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `muse`, `muse@2` or `muse:0.7,great-wave@1:0.3`, without checking that the models exist.

        Raises:
            BadOption: The text is neither a label nor a blend; see also `mix`.
        """
        if "," not in text and ":" not in text:
            return cls.of(text)
        return cls.mix([_parse_part(piece) for piece in text.split(",")])

    @property
    def light(self) -> Self:
        """Return the blend of the light nets of these models."""
        return type(self)(tuple(part._replace(label=light_label(part.label)) for part in self.parts))

    def __str__(self) -> str:
        """Return the text that `parse` reads as this blend."""
        if len(self.parts) == 1:
            return self.parts[0].label
        return ",".join(f"{label}:{share:g}" for label, share in self.parts)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Have pydantic take a blend or its text, and describe the field as text."""

        def read(value: Any, check_text: core_schema.ValidatorFunctionWrapHandler) -> Blend:
            return value if isinstance(value, Blend) else cls.parse(check_text(value))

        return core_schema.no_info_wrap_validator_function(
            read,
            core_schema.str_schema(max_length=_LONGEST_TEXT),
            serialization=core_schema.to_string_ser_schema(),
        )


def _parse_part(piece: str) -> tuple[str, float]:
    label, colon, number = piece.partition(":")
    if not colon:
        raise BadOption(f"the part {piece!r} of the blend has no share: write each as in muse:0.7")
    try:
        share = float(number)
    except ValueError:
        share = math.nan
    if not 0 <= share < math.inf:
        raise BadOption(f"{number!r} cannot be the share of {label!r}: give a number from 0 up, as in muse:0.7")
    return label, share
