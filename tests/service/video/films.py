"""Films made for the tests, and what can be read of a film."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from service.video.conversion import Conversion, Painter
from service.video.encoding import choose_encoding
from service.video.partial import Partial, go_on_with, publish
from service.video.scheduling import scheduling_kept
from service.video.source import FilmSource
from service.video.target import MADE_WITH, FilmTarget

Pixels = NDArray[np.uint8]
TIME_BASE = Fraction(1, 12800)
STEP = 512
"""Units of time from frame to frame at 25 frames a second."""


def pictures(number: int, width: int = 64, height: int = 48) -> list[Pixels]:
    """Smooth pictures that differ, each brighter than the one before it."""
    rows, columns = np.mgrid[:height, :width]
    ramp = np.stack([columns, rows, columns + rows], axis=-1)
    return [(ramp % 64 + 40 + 120 * index // number).astype(np.uint8) for index in range(number)]


def yuv(y: int, u: int, v: int, width: int = 64, height: int = 48) -> av.VideoFrame:
    """A frame of one colour, by its numbers in the file."""
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, value in zip(frame.planes, (y, u, v), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    return frame


def write_film(
    path: Path,
    frames: Sequence[Pixels | av.VideoFrame],
    times: Sequence[int] | None = None,
    *,
    sound: bool = False,
    subtitles: Sequence[str] = (),
    subtitle_codec: str = "mov_text",
    rotation: int = 0,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
    **properties: Any,
) -> Path:
    """Write a film.

    Args:
        path: of the film.
        frames: RGB or frames of FFmpeg.
        times: of the frames and of the end, in `TIME_BASE`; by default 25 frames a second.
        sound: whether there is a track of sound of the same length.
        subtitles: each shown for a second.
        subtitle_codec: of the subtitles.
        rotation: degrees counterclockwise by which players turn the film.
        codec: FFmpeg's encoder.
        pixel_format: FFmpeg's.
        options: of the encoder.
        container: options of the container.
        metadata: of the film.
        properties: of the encoder's context, such as `colorspace`.
    """
    times = times or [index * STEP for index in range(len(frames) + 1)]
    with scheduling_kept(), av.open(str(path), "w", container_options=container or {}) as film:
        film.metadata.update(metadata or {})
        video = film.add_stream(codec, rate=25, options=options or {})
        first = frames[0]
        video.width, video.height = (
            (first.width, first.height) if isinstance(first, av.VideoFrame) else first.shape[1::-1]
        )
        video.pix_fmt = pixel_format
        video.codec_context.time_base = video.time_base = TIME_BASE
        for name, value in properties.items():
            setattr(video.codec_context, name, value)
        if rotation:
            video.set_display_rotation(rotation)
        audio = film.add_stream("aac", rate=48000) if sound else None
        texts = film.add_mux_stream(subtitle_codec, time_base=Fraction(1, 1000)) if subtitles else None
        encoded: list[av.Packet] = []
        for index, each in enumerate(frames):
            frame = each if isinstance(each, av.VideoFrame) else av.VideoFrame.from_ndarray(each, format="rgb24")
            frame.pts, frame.time_base = times[index], TIME_BASE
            encoded += video.encode(frame)
        encoded += video.encode(None)
        durations = {time: after - time for time, after in itertools.pairwise(times)}
        for packet in encoded:
            packet.duration = durations[packet.pts]
            film.mux(packet)
        for index, text in enumerate(subtitles):
            data = text.encode()
            packet = av.Packet(len(data).to_bytes(2, "big") + data if subtitle_codec == "mov_text" else data)
            packet.stream, packet.time_base = texts, Fraction(1, 1000)
            packet.pts = packet.dts = 1000 * index
            packet.duration = 1000
            film.mux(packet)
        if audio is not None:
            seconds = times[-1] * TIME_BASE
            for start in range(0, int(48000 * seconds), 1024):
                wave = np.sin(np.arange(start, start + 1024) / 20).astype(np.float32)
                samples = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
                samples.sample_rate, samples.pts = 48000, start
                film.mux(audio.encode(samples))
            film.mux(audio.encode(None))
    return path


class Track(NamedTuple):
    """What the file has of one stream."""

    kind: str
    codec: str
    times: list[Fraction]
    """Of the packets, in seconds."""
    packets: list[bytes]
    stream: dict[str, Any]


def tracks_of(path: Path) -> list[Track]:
    with av.open(str(path)) as film:
        found = {}
        for stream in film.streams:
            told = {
                "duration": None if stream.duration is None else stream.duration * stream.time_base,
                "language": stream.language,
            }
            if stream.type == "video":
                context = stream.codec_context
                names = ("width", "height", "colorspace", "color_range", "color_primaries", "color_trc", "pix_fmt")
                told |= {name: getattr(context, name) for name in names}
                told |= {"aspect": stream.sample_aspect_ratio, "tag": context.codec_tag}
            found[stream.index] = Track(stream.type, stream.codec_context.name, [], [], told)
        for packet in film.demux():
            if packet.size:
                track = found[packet.stream_index]
                track.times.append(packet.pts * packet.time_base)
                track.packets.append(bytes(packet))
    return [track._replace(times=sorted(track.times)) for track in found.values()]


def frames_of(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as film:
        return list(film.decode(video=0))


def pixels_of(path: Path) -> list[Pixels]:
    return [frame.to_ndarray(format="rgb24") for frame in frames_of(path)]


async def unchanged(pixels: Pixels) -> Pixels:
    return pixels


def convert(
    film: Path,
    output: Path,
    paint: Painter = unchanged,
    *,
    made_with: str = "impasto test",
    keep_metadata: bool = False,
    window: int = 2,
    on_frame: Callable[[Fraction], object] = lambda _: None,
    **encoding: Any,
) -> list[str]:
    """Convert a film, going on with an unfinished one if there is one, and return the notes on it."""
    partial = Partial(output)

    async def run() -> list[str]:
        with FilmSource(film) as source:
            encoded_as = choose_encoding(output, **encoding)
            earlier = go_on_with(partial, made_with)
            target = FilmTarget(
                partial.path, source, encoded_as, {MADE_WITH: made_with}, partial.earlier if earlier.frames else None
            )
            await Conversion(source, target, paint, window, on_frame).run(earlier.until)
            publish(partial, source, encoded_as, keep_metadata)
            return [*source.notes, *target.notes]

    return asyncio.run(run())
