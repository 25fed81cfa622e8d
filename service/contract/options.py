"""What can be asked for with a picture."""

from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field

from model_store.card import Task
from model_store.nets import SMALLEST_SIDE
from service import codec
from service.models.blends import blend_for_factor


class PictureOptions(BaseModel):
    """What every answer with a picture can be asked for."""

    model_config = ConfigDict(extra="forbid")
    task: ClassVar[Task]

    format: codec.RequestedFormat = Field(
        default="auto",
        description="`auto` is what the header `Accept` prefers; where that is open, the upload's, with PNG for "
        "TIFF and GIF, and JPEG for HEIC.",
    )
    quality: int = Field(default=90, ge=1, le=100, description="Of JPEG, WebP and AVIF.")
    keep_metadata: bool = Field(
        default=False,
        description="Whether the answer has all of the upload's EXIF and its XMP; else EXIF without the place, the "
        "maker's notes and serial numbers. It is never turned, and has no thumbnail.",
    )

    @property
    def model(self) -> str:
        """The label of a model, or the text of a blend; see `blends.parse`."""
        raise NotImplementedError

    def accepting(self, accept: str) -> Self:
        """With the format that the value of a header `Accept` prefers, where none is asked for."""
        return self.model_copy(update={"format": codec.preferred(accept)}) if self.format == "auto" else self


class StylizeOptions(PictureOptions):
    """Options of `/stylize`."""

    task = "stylize"

    style: str = Field(
        max_length=800,
        description="A name from `GET /models`, as in `muse` or `muse@1`, or a blend of up to 8, each with a share, as "
        "in `muse:0.7,great-wave:0.3`. Shares are divided by their sum and rounded to hundredths.",
    )
    strength: float = Field(
        default=1.0, ge=0, le=1, description="From 0, the photo itself, to 1, all paint; between, a mix of both."
    )
    preserve_color: bool = Field(
        default=False,
        description="Whether to keep the colours of the photo, and take only light and dark from the paint.",
    )
    size: int | None = Field(
        default=None,
        ge=SMALLEST_SIDE,
        description="Pixels of the longest side to which the upload is resized before it is painted, and which the "
        "answer has: strokes have one size in pixels, so a smaller picture has larger ones.",
    )

    @property
    def model(self) -> str:
        """The style."""
        return self.style

    def resized(self, width: int, height: int) -> tuple[int, int]:
        """The size of the answer to an upload of this size; no side is 0."""
        if self.size is None:
            return width, height
        longest = max(width, height)
        return max(1, round(width * self.size / longest)), max(1, round(height * self.size / longest))


class SuperResolveOptions(PictureOptions):
    """Options of `/super-resolve`."""

    task = "super-resolve"

    factor: int = Field(
        default=4,
        ge=2,
        le=64,
        description="Of enlargement: 2 (enlarged ×4, then halved), 4, 8, or another if there is a model for it.",
    )
    blurred: bool = Field(
        default=False,
        description="Whether the upload is soft because it was blurred before it was shrunk, as photos of many cameras "
        "are; there must be a model for it.",
    )
    fidelity: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="From 1, true to the upload, to 0, sharp with made-up detail: the share of the net `xFACTOR-pixel` "
        "in its blend with `xFACTOR-feature`, for which there must be a model; rounded to hundredths.",
    )
    self_ensemble: bool = Field(
        default=False,
        description="Whether to take the mean over the upload's eight turns and mirrorings: about 0.2 dB better, and "
        "eight times the work.",
    )
    match_histogram: bool = Field(
        default=False,
        description="Whether to give the answer the distribution of colours of the upload, channel by channel.",
    )

    @property
    def model(self) -> str:
        """The net, or the blend of two, for the factor; 2 has that of 4."""
        factor = 4 if self.factor == 2 else self.factor
        return blend_for_factor(factor, blurred=self.blurred, fidelity=self.fidelity)


Options = StylizeOptions | SuperResolveOptions
