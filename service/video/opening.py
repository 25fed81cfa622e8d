"""The opening of a film's file, and the choice of the stream that has its pictures."""

from pathlib import Path

import av
import av.error
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from service.contract.problems import UnsupportedFormat
from service.video.problems import BadFilm

NOUNS = {"audio": "sound", "subtitle": "subtitles"}
"""Types of the streams that are copied, and what people call them."""
_PICTURE_FORMATS = ("image2", "gif", "apng")
"""FFmpeg's names of the formats of single pictures, besides those that end in `_pipe`."""
_MOVIE = b"ftyp"
"""Bytes 4 to 8 of an MP4 or QuickTime file."""


def open_film(path: Path) -> InputContainer:
    """Open a file with a film.

    Raises:
        UnsupportedFormat: It is no film in a format that FFmpeg reads.
        BadFilm: It is cut short.
    """
    with path.open("rb") as file:
        start = file.read(12)
    try:
        container = av.open(str(path), metadata_errors="replace")
    except av.error.FFmpegError as error:
        if start[4:8] == _MOVIE:
            raise BadFilm("the film is broken or cut short, and its index is missing: send the whole film") from error
        raise UnsupportedFormat(f"this is not a film in a format that FFmpeg reads ({error.strerror})") from error
    if container.format.name.endswith("_pipe") or container.format.name in _PICTURE_FORMATS:
        container.close()
        raise UnsupportedFormat("this is a picture, and its name says that it is a film: give it its own suffix")
    return container


def video_of(container: InputContainer) -> VideoStream:
    """Return the stream of the film's pictures.

    Raises:
        BadFilm: There is none, or it cannot be decoded.
    """
    streams = [each for each in container.streams.video if not is_cover(each)]
    if not streams:
        covers = " besides the picture on its cover" if container.streams.video else ""
        raise BadFilm(f"there is no film in this file, only {_kinds(container)}{covers}")
    decoded = [each for each in streams if each.codec_context is not None]
    if not decoded:
        raise BadFilm("the film is in a codec that this FFmpeg does not decode: convert it to H.264")
    return max(decoded, key=lambda each: each.codec_context.width * each.codec_context.height)


def is_cover(stream: Stream) -> bool:
    """Tell whether a stream is a picture for the film's cover."""
    return bool(stream.disposition & Disposition.attached_pic)


def _kinds(container: InputContainer) -> str:
    types = {each.type for each in container.streams}
    return " and ".join(noun for type_, noun in NOUNS.items() if type_ in types) or "data"
