"""A picture that the server made."""

import io
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import httpx

from service.client.errors import UnexpectedAnswer

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Answer:
    """A picture that the server made, and what it told about it."""

    content: bytes
    """The encoded picture."""
    media_type: str
    model: str
    """Name and version of the net, as in `muse@3`; of a blend with shares, as in `muse@3:0.7,candy@1:0.3`."""
    request_id: str
    timing: dict[str, float]
    """Milliseconds on the server, by stage: decode, queue, net, encode."""
    frames: int = 1
    """Of the upload; where it was an animation, the answer is made of the first."""

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the picture to a file.

        Raises:
            OSError: it cannot be written.
        """
        path = Path(path)
        path.write_bytes(self.content)
        return path

    def to_pil(self) -> "Image.Image":
        """Decodes the picture, with Pillow.

        Raises:
            ModuleNotFoundError: Pillow is not installed.
            OSError: this Pillow cannot decode it.
        """
        try:
            from PIL import Image  # noqa: PLC0415  (only for who asks for it)
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("to decode pictures, install Pillow: pip install pillow", name="PIL") from error
        image = Image.open(io.BytesIO(self.content))
        image.load()
        return image

    @classmethod
    def from_response(cls, response: httpx.Response) -> Self:
        """Reads a successful answer.

        Raises:
            UnexpectedAnswer: it is no picture.
        """
        media_type = response.headers.get("Content-Type", "")
        if not media_type.startswith("image/"):
            raise UnexpectedAnswer(
                f"{response.url} answered with {media_type or 'something'} instead of a picture: is it an Impasto "
                "server?",
                response.request.headers.get("X-Request-ID"),
            )
        stages = re.findall(r"([\w-]+);dur=([0-9]+(?:\.[0-9]+)?)", response.headers.get("Server-Timing", ""))
        frames = response.headers.get("X-Frames", "1")
        return cls(
            content=response.content,
            media_type=media_type,
            model=response.headers.get("X-Model", ""),
            request_id=response.headers.get("X-Request-ID", ""),
            timing={stage: float(milliseconds) for stage, milliseconds in stages},
            frames=int(frames) if frames.isdecimal() else 1,
        )
