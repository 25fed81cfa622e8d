"""A picture that the server made."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx


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

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the picture to a file.

        Raises:
            OSError: it cannot be written.
        """
        path = Path(path)
        path.write_bytes(self.content)
        return path

    @classmethod
    def from_response(cls, response: httpx.Response) -> Self:
        """Reads a successful answer."""
        stages = re.findall(r"([\w-]+);dur=([0-9.]+)", response.headers.get("Server-Timing", ""))
        return cls(
            content=response.content,
            media_type=response.headers.get("Content-Type", ""),
            model=response.headers.get("X-Model", ""),
            request_id=response.headers.get("X-Request-ID", ""),
            timing={stage: float(milliseconds) for stage, milliseconds in stages},
        )
