"""The opening of a film's file, and the choice of the stream that has its pictures."""

import os
from pathlib import Path
from typing import BinaryIO

import av
import av.error
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from service.contract.problems import BadFilm, UnsupportedFormat

NOUNS = {"audio": "sound", "subtitle": "subtitles"}
"""Types of the streams that are copied, and what people call them."""
_PICTURE_FORMATS = ("image2", "gif", "apng")
"""FFmpeg's names of the formats of single pictures, besides those that end in `_pipe`."""
_MOVIE = b"ftyp"
"""Bytes 4 to 8 of an MP4 or QuickTime file."""
_VIDEO_DECODERS = frozenset(
    {"h263", "h264", "hevc", "libdav1d", "mjpeg", "mpeg1video", "mpeg2video", "mpeg4", "prores", "theora", "vp8", "vp9"}
)
"""FFmpeg's decoders of films that strangers send."""
_OTHER_DECODERS = (
    "aac",
    "ac3",
    "alac",
    "eac3",
    "flac",
    "mov_text",
    "mp3",
    "mp3float",
    "opus",
    "srt",
    "vorbis",
    "webvtt",
)
"""Decoders by which FFmpeg finds out what it copies of such films."""


def whitelist(known_as: str | None) -> dict[str, str]:
    """Return the option of FFmpeg by which a film is read with well-known decoders alone, if a stranger sent it."""
    return {} if known_as is None else {"codec_whitelist": ",".join([*_VIDEO_DECODERS, *_OTHER_DECODERS])}


def open_film(path: Path, known_as: str | None = None) -> InputContainer:
    """Open a file with a film.

    Args:
        path: The file.
        known_as: FFmpeg's name of the format of a film that a stranger sent, as which alone it is read; None for any.

    Raises:
        UnsupportedFormat: It is no film in a format that FFmpeg reads.
        BadFilm: It is cut short.
    """
    with path.open("rb") as file:
        start = file.read(12)
        if known_as == "mov":
            _check_end(file)
    try:
        container = av.open(str(path), format=known_as, options=whitelist(known_as), metadata_errors="replace")
    except av.error.FFmpegError as error:
        if known_as is not None or start[4:8] == _MOVIE:
            raise BadFilm("the film is broken or cut short, and its index is missing: send the whole film") from error
        raise UnsupportedFormat(f"this is not a film in a format that FFmpeg reads ({error.strerror})") from error
    if container.format.name.endswith("_pipe") or container.format.name in _PICTURE_FORMATS:
        container.close()
        raise UnsupportedFormat("this is a picture, and its name says that it is a film: give it its own suffix")
    return container


def video_of(container: InputContainer, known_as: str | None = None) -> VideoStream:
    """Return the stream of the film's pictures.

    Args:
        container: The opened file.
        known_as: What `open_film` was given.

    Raises:
        BadFilm: There is none, or it cannot be decoded.
    """
    streams = [each for each in container.streams.video if not is_cover(each)]
    if not streams:
        covers = " besides the picture on its cover" if container.streams.video else ""
        raise BadFilm(f"there is no film in this file, only {_kinds(container)}{covers}")
    decoded = [each for each in streams if each.codec_context is not None]
    if known_as is not None:
        decoded = [each for each in decoded if each.codec_context.codec.name in _VIDEO_DECODERS]
    if not decoded:
        raise BadFilm("the film is in a codec that is not decoded here: convert it to H.264")
    return max(decoded, key=lambda each: each.codec_context.width * each.codec_context.height)


def is_cover(stream: Stream) -> bool:
    """Tell whether a stream is a picture for the film's cover."""
    return bool(stream.disposition & Disposition.attached_pic)


def _kinds(container: InputContainer) -> str:
    types = {each.type for each in container.streams}
    return " and ".join(noun for type_, noun in NOUNS.items() if type_ in types) or "data"


def _check_end(file: BinaryIO) -> None:
    """Check that an MP4 or QuickTime file ends where its last box does.

    Raises:
        BadFilm: It ends before.
    """
    size, place = file.seek(0, os.SEEK_END), 0
    while place < size:
        file.seek(place)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:], "big")
        if length == 0:  # it goes to the end, wherever that is
            return
        place += max(length, 8)
    if place > size:
        raise BadFilm(f"the film is cut short: {place - size:,} bytes of it are missing, send the whole film")
