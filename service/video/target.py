"""The film that is written: frames are encoded, and the packets of sound and subtitles copied beside them.

An MP4 or QuickTime file is written in fragments, each beginning with a key frame, so that what is on disk can be played
even if the process is killed. `publish` makes the usual kind of file of it, with its index at the beginning.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import av
import av.error
from av.bitstream import BitStreamFilterContext
from av.container import OutputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from service.contract.problems import BadOption
from service.video.colours import Colours, FrameWriter
from service.video.encoding import Encoding
from service.video.opening import NOUNS
from service.video.packet_order import PacketOrder
from service.video.scheduling import scheduling_kept
from service.video.source import FilmSource, Frame, Packet

_KEY_FRAMES = 48
"""Largest number of frames from a key frame to the next: what a killed process loses, about."""
_FRAGMENTS = "frag_keyframe+delay_moov+default_base_moof"
"""Flags by which an MP4 file is written in fragments, with exact times."""
_STREAMED_FRAGMENTS = "frag_discont+empty_moov+default_base_moof"
"""Flags by which it begins before its first fragment, and each fragment has its exact time."""
_STREAMED = {
    "flush_packets": "1",
    "avoid_negative_ts": "disabled",
    "frag_duration": "100000",
    "max_interleave_delta": "500000",
    "use_editlist": "0",
}
"""Options of a film that is streamed: fragments of a tenth of a second, and no frame waits for more than half a second
of sound or subtitles. (With a fragment for each frame, FFmpeg 8.1 writes wrong times of sound.)"""
_AS_IT_IS_MADE = {"flush_packets": "1", "avoid_negative_ts": "disabled"}
"""Options of an unfinished film: packets go to the disk at once, and sound that begins before 0 shifts nothing."""
_REFUSALS = (
    av.error.ArgumentError,
    av.error.InvalidDataError,
    av.error.PatchWelcomeError,
    av.error.PermissionError,
)
"""Errors of FFmpeg about packets that are broken or come in a wrong order."""
MADE_WITH = "comment"
"""Key of the metadata under which an unfinished film tells what it is made with."""
_LANGUAGE_AND_TITLE = ("language", "title")
"""Keys of the metadata of streams that are kept."""

os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 prints all of its log to stderr by itself: let it print errors only


class FilmTarget:
    """An unfinished film, which can be played as far as it is written.

    Args:
        output: File to write, which the first frame creates, or what is written to.
        source: Film that the frames, sound and subtitles come from.
        encoding: How the film is encoded.
        metadata: What the film tells about itself.
        earlier: Unfinished film of an earlier run, whose frames come first; it is removed once they are copied.
    """

    def __init__(
        self,
        output: Path | BinaryIO,
        source: FilmSource,
        encoding: Encoding,
        metadata: Mapping[str, str],
        earlier: Path | None = None,
    ) -> None:
        self._output = output
        self._source = source
        self._encoding = encoding
        self._metadata = metadata
        self._earlier = earlier
        self._waiting: list[Packet] = []
        self._container: OutputContainer | None = None
        self._refused = 0
        self._notes: list[str] = []

    @property
    def notes(self) -> list[str]:
        """Return sentences about what the film lacks, each without a full stop; at the end they are complete."""
        refused = f"{self._refused} broken packets of sound or subtitles left out"
        return [*self._notes, *([refused] if self._refused else [])]

    def write(self, frame: Frame) -> None:
        """Encode a frame; all frames have the size of the first.

        Raises:
            BadOption: The encoder does not take such a film.
        """
        if self._container is None:
            height, width, _ = frame.pixels.shape
            self._open(width, height)
        encoded = self._writer.write(frame.pixels)
        encoded.pts, encoded.time_base = frame.pts, self._source.time_base
        self._order.expect(frame)
        for packet in self._video.encode(encoded):
            self._mux(packet)

    def copy(self, packet: Packet) -> None:
        """Copy a packet of the source's sound or subtitles; those of streams that the file cannot hold are left out."""
        if self._container is None:
            self._waiting.append(packet)
        elif (copy := self._copies.get(packet.stream_index)) is not None:
            try:
                for each in copy.filtered(packet):
                    each.stream = copy.stream
                    if not self._encoding.is_streamed or _from_0(each):
                        self._container.mux(each)
            except _REFUSALS:
                self._refused += 1

    def close(self) -> None:
        """Encode what the encoder holds still, and end the file, which can be played up to there."""
        if self._container is None and self._earlier is not None:  # no frame came after those that it has
            self._open(*size_of(self._earlier))
        if self._container is None:
            return
        try:
            for packet in self._video.encode(None):
                self._mux(packet)
            self._container.mux(self._order.last())
        finally:
            self._container.close()
            self._container = self._earlier = None

    def _open(self, width: int, height: int) -> None:
        source, encoding = self._source, self._encoding
        size = width // 2 * 2, height // 2 * 2
        if size != (width, height):
            self._notes.append(f"a film's sides are even numbers: {width}×{height} became {size[0]}×{size[1]}")
        self._writer = FrameWriter(source.colours, (source.width, source.height), size)
        self._order = PacketOrder(source.time_base, ends_by_last_packet=encoding.is_quicktime)
        output, options = self._output, _options(source, encoding)
        file = str(output) if isinstance(output, Path) else output
        container = av.open(file, "w", format=encoding.container, container_options=options)
        self._video = _add_video(container, source, encoding, size, self._writer.colours)
        self._copies = self._add_copies(container)
        container.metadata.update(self._metadata)
        try:
            with scheduling_kept():
                container.start_encoding()
        except av.error.FFmpegError as error:
            if isinstance(output, Path):
                output.unlink(missing_ok=True)
            raise BadOption(
                f"FFmpeg cannot write {encoding.codec} of {size[0]}×{size[1]} as {encoding.container} "
                f"({error.strerror}): choose another codec or size"
            ) from error
        self._container = container
        if self._earlier is not None:
            for packet in video_packets(self._earlier, encoding.encoder.to_stream):
                self._mux(packet)
            self._earlier.unlink()
            self._earlier = None
        for packet in self._waiting:
            self.copy(packet)
        self._waiting = []

    def _add_copies(self, container: OutputContainer) -> dict[int, "_Copy"]:
        """Add the streams that are copied, and return them by the index of each in the source."""
        copies: dict[int, _Copy] = {}
        for stream in self._source.copied:
            try:
                copy = container.add_stream_from_template(stream, opaque=True)
            except ValueError:  # the container takes no such codec, or FFmpeg does not know it
                codec = "unknown" if stream.codec_context is None else stream.codec_context.name
                self._notes.append(
                    f"{NOUNS[stream.type]} ({codec}) left out, because {container.format.name} cannot hold such"
                )
                continue
            describe(copy, stream)
            copies[stream.index] = _Copy(copy, _unframed(stream) if self._encoding.is_quicktime else None)
        return copies

    def _mux(self, packet: Packet) -> None:
        assert self._container is not None  # noqa: S101
        for each in self._order.put(packet):
            each.stream = self._video
            self._container.mux(each)


class _Copy(NamedTuple):
    """A stream of sound or subtitles that is copied."""

    stream: Stream
    bitstream: BitStreamFilterContext | None
    """Filter that packets pass, if the file holds another form of them than the source."""

    def filtered(self, packet: Packet) -> list[Packet]:
        """Return the packets that are written for a packet of the source."""
        if self.bitstream is None:
            return [packet]
        time_base = packet.time_base
        packets = self.bitstream.filter(packet)
        for each in packets:
            each.time_base = time_base
        return packets


def _from_0(packet: Packet) -> bool:
    """Have a packet begin at time 0 if it begins before, and tell whether anything of it is played at all.

    What sound has before 0 is there for its decoder to begin with. Only an index at the end can tell players so.
    """
    if packet.pts is None or packet.dts is None or packet.dts >= 0:
        return True
    duration = (packet.duration or 0) + packet.dts
    packet.pts, packet.dts, packet.duration = max(0, packet.pts), 0, duration
    return duration > 0


def _unframed(stream: Stream) -> BitStreamFilterContext | None:
    """Return the filter for AAC with a header in each packet, as in MPEG-TS; MP4 has it once, in its index."""
    is_framed = stream.codec_context.name == "aac" and not stream.codec_context.extradata
    return BitStreamFilterContext("aac_adtstoasc", stream) if is_framed else None


def video_packets(path: Path, to_stream: str | None = None) -> Iterator[Packet]:
    """Yield the packets of the first video stream of a file.

    Args:
        path: File that this module has written.
        to_stream: Bitstream filters that the packets pass.
    """
    with av.open(str(path)) as container:
        stream: Stream = container.streams.video[0]
        bitstream = None if to_stream is None else BitStreamFilterContext(to_stream, stream)
        for packet in container.demux(stream):
            if not packet.size:
                continue
            if bitstream is None:
                yield packet
            else:
                yield from bitstream.filter(packet)


def _options(source: FilmSource, encoding: Encoding) -> dict[str, str]:
    """Return the options of the container of a film that is read before it is whole."""
    if encoding.is_streamed:
        return {**_STREAMED, **container_options(source, encoding, _STREAMED_FRAGMENTS)}
    return {**_AS_IT_IS_MADE, **container_options(source, encoding, _FRAGMENTS)}


def container_options(source: FilmSource, encoding: Encoding, flags: str) -> dict[str, str]:
    """Return the options of the container.

    Args:
        source: Film whose times are kept.
        encoding: How the film is encoded.
        flags: FFmpeg's `movflags` for MP4 and QuickTime files.
    """
    if not encoding.is_quicktime:
        return {}
    # The usual scale, milliseconds, would round the start of a film that does not begin at 0.
    return {"movflags": flags, "movie_timescale": str(source.time_base.denominator)}


def size_of(path: Path) -> tuple[int, int]:
    """Return the width and height of a film that this module has written."""
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        return context.width, context.height


def describe(copy: Stream, stream: Stream) -> None:
    """Give a stream the language, the title and the role of another."""
    copy.metadata.update({key: value for key, value in stream.metadata.items() if key in _LANGUAGE_AND_TITLE})
    copy.disposition = stream.disposition


def _add_video(
    container: OutputContainer, source: FilmSource, encoding: Encoding, size: tuple[int, int], colours: Colours
) -> VideoStream:
    """Add the stream of the encoded frames.

    Raises:
        BadOption: This FFmpeg has no such encoder.
    """
    encoder = encoding.encoder
    at_once = encoder.at_once or {} if encoding.is_streamed else {}
    options = {"crf": str(encoding.crf), **encoder.options, **at_once}
    try:
        stream = cast("VideoStream", container.add_stream(encoder.name, rate=source.rate, options=options))
    except av.error.LookupError as error:
        raise BadOption(f"this FFmpeg has no encoder {encoder.name}: choose another codec") from error
    context = stream.codec_context
    context.width, context.height = size
    context.pix_fmt = FrameWriter.pixel_format
    context.time_base = stream.time_base = source.time_base
    context.gop_size = _KEY_FRAMES
    context.sample_aspect_ratio = source.sample_aspect_ratio
    context.colorspace, context.color_range = colours.matrix, colours.range
    context.color_primaries, context.color_trc = colours.primaries, colours.transfer
    if encoding.is_quicktime and encoder.tag is not None:
        context.codec_tag = encoder.tag
    if source.language is not None:
        stream.metadata["language"] = source.language
    return stream
