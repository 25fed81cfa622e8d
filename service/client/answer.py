"""The answer to a successful call: a picture, and what the server says about it."""

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
    """A picture that the server made, and what the server says about it."""

    content: bytes
    """The encoded picture, as a file would hold it."""
    media_type: str
    """The media type of the picture, such as `image/jpeg`."""
    model: str
    """The net's name and version, such as `muse@3`; for a blend, each net with its share, such as
    `muse@3:0.7,candy@1:0.3`."""
    request_id: str
    """The id under which the server's log mentions the call."""
    timing: dict[str, float]
    """Milliseconds that each stage took on the server: `decode`, `queue`, `net` and `encode`."""
    frames: int = 1
    """The number of frames in the upload. The picture is made from the first frame of an animation."""
    is_truncated: bool = False
    """Whether the upload lacked its end, as after an interrupted download; all of its pixels were there."""

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture to a file, as it came from the server.

        Args:
            path: The file to write. An existing file is replaced; its folder must exist.

        Returns:
            The path of the written file.

        Raises:
            OSError: The file cannot be written.
        """
        path = Path(path)
        path.write_bytes(self.content)
        return path

    def to_pil(self) -> "Image.Image":
        """Decode the picture with Pillow.

        Returns:
            The decoded picture, upright, in the mode that its file has.

        Raises:
            ModuleNotFoundError: Pillow is not installed.
            OSError: The installed Pillow cannot decode the picture's format.
        """
        try:
            from PIL import Image  # noqa: PLC0415  (the client works without Pillow)
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("to decode pictures, install Pillow: pip install pillow", name="PIL") from error
        image = Image.open(io.BytesIO(self.content))
        image.load()
        return image

    @classmethod
    def from_response(cls, response: httpx.Response) -> Self:
        """Read the picture and its headers from a successful HTTP response.

        Args:
            response: A response with a status of 2xx, whose body was read.

        Raises:
            UnexpectedAnswer: The response has no picture.
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
            is_truncated=response.headers.get("X-Truncated") == "true",
        )
