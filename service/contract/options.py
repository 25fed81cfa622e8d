"""The options of a picture, for the HTTP API, the SDK, the command line and the playground alike.

Each option, its default and its range are written here once. Nothing heavy is imported, because the SDK needs this
file without torch.
"""

from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from model_store.card import SMALLEST_SIDE, Task
from model_store.naming import super_resolution_name
from service.contract.blend import Blend
from service.contract.problems import BadOption, BadPicture

Format = Literal["jpeg", "png", "webp", "avif"]
"""Formats in which pictures are answered."""
RequestedFormat = Literal["auto", Format]
"""A format, or `auto`: the format of the upload where it can be written, otherwise a substitute for it."""

_FACTORS = (4, 8)
"""Factors of the nets whose results are reduced to any scale up to their factor."""
_HALVED_FACTOR = 2
"""Factor that has no net of its own: a net for twice the factor enlarges, and its result is halved."""

_USUAL_FACTOR = 4
"""Factor of enlargement where none is asked for."""
_LARGEST_SCALE = 8
"""Largest scale, which is the largest factor of the nets whose results are reduced."""

_STROKE_FACTORS = (4, 8)
"""Factors of the nets that enlarge paintings, in ascending order."""


class PictureOptions(BaseModel):
    """The options of every request for a picture."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    task: ClassVar[Task]

    format: RequestedFormat = Field(
        default="auto",
        description="Format of the answer. `auto` is the format that the header `Accept` prefers; where it prefers "
        "none, the upload's, with PNG for TIFF and GIF, and JPEG for HEIC.",
    )
    quality: int = Field(default=90, ge=1, le=100, description="Quality of JPEG, WebP and AVIF.")
    keep_metadata: bool = Field(
        default=False,
        description="Keep all of the upload's EXIF and its XMP. Otherwise the answer has the EXIF without the "
        "location, the maker's notes and serial numbers. In both cases the answer is upright and has no thumbnail.",
    )

    @property
    def blend(self) -> Blend:
        """Return the model, or the blend of models, that makes the picture; see `depends_on_picture`."""
        raise NotImplementedError

    @property
    def depends_on_picture(self) -> bool:
        """Tell whether the options name a model only once a picture's size is known; see `for_picture`."""
        return False

    def for_picture(self, width: int, height: int) -> Self:  # noqa: ARG002
        """Return the options that mean the same for a picture of this size in pixels, and name its model.

        Raises:
            BadPicture: The picture's size does not go with the options.
        """
        return self


class StylizeOptions(PictureOptions):
    """The options of painting."""

    task = "stylize"

    style: Blend = Field(
        description="Name of a style, as in `muse` or `muse@1`, or a blend of up to 8, each with a share, as in "
        "`muse:0.7,great-wave:0.3`. Shares are divided by their sum and rounded to hundredths.",
    )
    strength: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="0 gives the photo itself, 1 the painting, and values between a mix of both.",
    )
    preserve_color: bool = Field(
        default=False,
        description="Keep the colours of the photo, and take only light and dark from the painting.",
    )
    light: bool = Field(
        default=False,
        description="Paint with the light net of the style, which takes a fifth of the time and looks nearly the same. "
        "There must be one for each style of a blend; a version, as in `muse@1`, is then that of the light net.",
    )
    size: int | None = Field(
        default=None,
        ge=SMALLEST_SIDE,
        description="Longest side in pixels to which the photo is resized before it is painted; the answer has that "
        "size. Strokes have one size in pixels, so a smaller picture has larger strokes.",
    )
    stroke: float = Field(
        default=1.0,
        ge=1,
        le=8,
        description="How many times as broad as usual the strokes are: the photo is painted that many times smaller, "
        "and a super-resolution net enlarges the painting again. Large prints need 2 to 4.",
    )

    @property
    def blend(self) -> Blend:
        """Return the style, or the blend of styles, or their light nets."""
        return self.style.light if self.light else self.style

    def painted(self, width: int, height: int) -> tuple[int, int]:
        """Return the width and height at which an answer of this size is painted, before it is enlarged."""
        return max(1, round(width / self.stroke)), max(1, round(height / self.stroke))

    @property
    def enlarger(self) -> Blend | None:
        """Return the super-resolution net that enlarges the painting, or None if it is painted in its size."""
        if self.stroke == 1:
            return None
        factor = next(factor for factor in _STROKE_FACTORS if factor >= self.stroke)
        return Blend.of(super_resolution_name(factor, "pixel"))

    def resized(self, width: int, height: int) -> tuple[int, int]:
        """Return the width and height of the answer to an upload of this size; no side is 0."""
        if self.size is None:
            return width, height
        longest = max(width, height)
        return max(1, round(width * self.size / longest)), max(1, round(height * self.size / longest))


class SuperResolveOptions(PictureOptions):
    """The options of enlarging."""

    task = "super-resolve"

    factor: int | None = Field(
        default=None,
        ge=2,
        le=64,
        description="Factor of enlargement: 2 (enlarged ×4, then halved), 4, 8, or another for which there is a model. "
        "It is 4 where neither `scale` nor `size` is given.",
    )
    scale: float | None = Field(
        default=None,
        ge=1,
        le=_LARGEST_SCALE,
        description="Any enlargement from 1 to 8, instead of `factor`: the net for ×4, or above 4 the net for ×8, "
        "enlarges, and its result is reduced (bicubic, antialiased).",
    )
    size: int | None = Field(
        default=None,
        ge=SMALLEST_SIDE,
        description="Longest side of the answer in pixels, instead of `factor`: the upload is enlarged by the `scale` "
        "that gives it, which lies between 1 and 8.",
    )
    fidelity: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="From 1, true to the upload, to 0, sharp with made-up detail: the share of the net `xFACTOR-pixel` "
        "in its blend with `xFACTOR-feature`, rounded to hundredths. Below 1, there must be a model "
        "`xFACTOR-feature`.",
    )
    blurred: bool = Field(
        default=False,
        description="Treat the upload as soft because it was blurred before it was shrunk, as photos of many cameras "
        "are. There must be a model for such uploads.",
    )
    self_ensemble: bool = Field(
        default=False,
        description="Take the mean over the upload's eight rotations and mirror images: about 0.2 dB better, for eight "
        "times the work.",
    )
    match_histogram: bool = Field(
        default=False,
        description="Give the answer the distribution of colours of the upload, channel by channel.",
    )

    @model_validator(mode="before")
    @classmethod
    def _one_option_says_how_much(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Check that at most one of three options is given, and set the factor where none is."""
        told = [name for name in ("factor", "scale", "size") if given.get(name) is not None]
        if len(told) > 1:
            raise BadOption(f"{' and '.join(told)} each say how much to enlarge: give one of them")
        return given if told else {**given, "factor": _USUAL_FACTOR}

    @model_validator(mode="after")
    def _blurred_pictures_have_one_net(self) -> "SuperResolveOptions":
        if self.blurred and self.fidelity != 1:
            raise BadOption("blurred pictures are enlarged at fidelity 1 only: leave out blurred or fidelity")
        return self

    @property
    def depends_on_picture(self) -> bool:
        """Tell whether the enlargement follows from a size; see `for_picture`."""
        return self.size is not None

    def for_picture(self, width: int, height: int) -> Self:
        """Return the options with the scale, instead of the size, that enlarges a picture of this size to it.

        Raises:
            BadPicture: The picture is larger than the size, or more than 8 times smaller.
        """
        if self.size is None:
            return self
        longest = max(width, height)
        if self.size < longest:
            raise BadPicture(
                f"the picture's longest side has {longest:,} pixels, more than size={self.size}, and pictures are only "
                f"enlarged here: ask for size={longest} or more"
            )
        if self.size > _LARGEST_SCALE * longest:
            raise BadPicture(
                f"size={self.size} is more than {_LARGEST_SCALE} times the picture's longest side of {longest:,} "
                f"pixels: ask for size={_LARGEST_SCALE * longest} or less"
            )
        return self.model_copy(update={"size": None, "scale": self.size / longest})

    @property
    def enlargement(self) -> float:
        """Return how many times as wide and high as the upload the answer is; for a size, see `for_picture`."""
        enlargement = self.factor if self.scale is None else self.scale
        assert enlargement is not None, "a size has become a scale"  # noqa: S101
        return enlargement

    @property
    def blend(self) -> Blend:
        """Return the net for the factor, or the blend of the two nets between which the fidelity lies.

        A size names none before it has become a scale; see `for_picture`.
        """
        if self.factor is None:
            factor = next(each for each in _FACTORS if self.enlargement <= each)
        else:
            factor = 2 * self.factor if self.factor == _HALVED_FACTOR else self.factor
        if self.blurred:
            return Blend.of(super_resolution_name(factor, "pixel-blurred"))
        pixel, feature = super_resolution_name(factor, "pixel"), super_resolution_name(factor, "feature")
        return Blend.mix([(pixel, self.fidelity), (feature, 1 - self.fidelity)])


Options = StylizeOptions | SuperResolveOptions
