"""The messages between a server and the process of a film, over two pipes.

A message is a head of nine bytes, with its kind, a number and the length of its content, and the content. The process
sends `OPENED`, waits for `BEGIN`, and then sends each `FRAME` by its number and, as soon as paintings come, `NOTES` and
the `CONTENT` of the painted film. Its last message is `END` or `PROBLEM`. The server sends `BEGIN`, and each `PAINTED`
with the number of its frame.
"""

import json
import struct
from typing import Any, BinaryIO, NamedTuple

OPENED, FRAME, NOTES, CONTENT, END, PROBLEM = b"OFNCEP"
BEGIN, PAINTED = b"BQ"
_HEAD = struct.Struct("=BII")
_MOST_BYTES = 2**28
"""Largest number of bytes of a content, which is more than any frame has."""


class Message(NamedTuple):
    """A message."""

    kind: int
    number: int
    """Number of a frame, from 0; 0 in other messages."""
    content: bytearray

    def told(self) -> Any:
        """Return the content of a message that is JSON."""
        return json.loads(self.content)


class Opened(NamedTuple):
    """The facts of a film that are known once its first frame was decoded, sent as `OPENED`."""

    width: int
    """Width of a frame in pixels, upright."""
    height: int
    """Height of a frame in pixels, upright."""
    seconds: float
    """Length of the film that the file tells, or 0."""
    frames: int
    """Number of frames that the file tells, or 0."""


class Begin(NamedTuple):
    """How a film is painted, sent as `BEGIN`."""

    width: int
    """Width of a painted frame in pixels."""
    height: int
    """Height of a painted frame in pixels."""
    window: int
    """Number of frames that are painted at the same time."""
    keep_metadata: bool
    """Whether the painted film has all metadata of the film."""
    temporal: float
    """Share that the painting before has in each painting; 0 leaves each frame by itself."""


def send(pipe: BinaryIO, kind: int, content: Any = b"", number: int = 0) -> None:
    """Write a message.

    Args:
        pipe: Pipe to write to.
        kind: Kind of the message.
        content: Bytes, an array, or what becomes JSON.
        number: Number of a frame.

    Raises:
        OSError: The pipe was closed.
    """
    if isinstance(content, dict | list):
        content = json.dumps(content).encode()
    data = memoryview(content).cast("B")
    pipe.write(_HEAD.pack(kind, number, data.nbytes))
    pipe.write(data)
    pipe.flush()


def receive(pipe: BinaryIO) -> Message | None:
    """Read a message, or return None if the pipe ended.

    Raises:
        ValueError: What comes is no message.
    """
    head = pipe.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    kind, number, size = _HEAD.unpack(head)
    if size > _MOST_BYTES:
        raise ValueError(f"a message of {size} bytes")
    content = bytearray(size)
    read = pipe.readinto(content)  # type: ignore[attr-defined]
    return Message(kind, number, content) if read == size else None
