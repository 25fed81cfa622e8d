"""The colours of films: from decoded frames to upright RGB, and from RGB to the frames that are encoded.

A film's YCbCr becomes RGB by its own matrix and range, and RGB becomes YCbCr by the same ones, so that a frame that is
not painted comes out as it was. High dynamic range is mapped to what a usual screen shows, in BT.709.
"""

from typing import NamedTuple

import av
import av.filter
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""RGB of a frame, upright, `(H, W, 3)`."""

_PIXEL_FORMAT = "yuv420p"
"""Pixel format of encoded frames, which plays everywhere: 8 bits, chroma at half the width and height."""
_UNSPECIFIED = 2
"""FFmpeg's number for a matrix, a transfer or primaries that are not told."""
_RGB = 0
"""FFmpeg's number for the matrix of a film that is stored as RGB."""
_BT709 = 1
"""FFmpeg's number for the matrix, the transfer and the primaries of BT.709."""
_SMPTE170M = 6
"""FFmpeg's number for the matrix of BT.601."""
_SCALER_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
}
"""The scaler's names of matrices, by FFmpeg's numbers of them."""
_HIGH_DYNAMIC_RANGE = {16: "PQ", 18: "HLG"}
"""Names of the transfers of high dynamic range, by FFmpeg's numbers of them."""
_HD = (1280, 720)
"""Width and height from either of which on a film that tells no matrix is taken for BT.709 and not for BT.601."""
_EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
"""Interpolation of chroma, without the scaler's shortcuts, which shift colours."""
TONE_MAPPING = "perceptual"
"""The scaler's way of mapping high dynamic range. It computes a table first, which takes some 8 seconds a film."""
_QUARTER_TURN = 90
"""Degrees of a quarter turn."""


class Colours(NamedTuple):
    """How the numbers in a film's frames stand for colours, as FFmpeg numbers it."""

    matrix: int
    range: int
    primaries: int
    transfer: int

    @classmethod
    def of(cls, frame: VideoFrame) -> "Colours":
        """Return the colours of a decoded frame, with the range that its pixel format implies."""
        is_full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
        return cls(
            frame.colorspace,
            ColorRange.JPEG if is_full else frame.color_range,
            frame.color_primaries,
            frame.color_trc,
        )

    def known_matrix(self, width: int, height: int) -> int:
        """Return the matrix, or the one that players assume for a film of this size that does not tell it."""
        if self.matrix in _SCALER_MATRICES:
            return self.matrix
        return _BT709 if width >= _HD[0] or height >= _HD[1] else _SMPTE170M


class FrameReader:
    """Turns the decoded frames of one film into upright RGB.

    Args:
        first: First frame of the film; the others have its colours.
    """

    def __init__(self, first: VideoFrame) -> None:
        colours = Colours.of(first)
        self._read_by = colours
        self.quarter_turns = round(first.rotation / _QUARTER_TURN) % 4
        """Number of quarter turns, counterclockwise, by which frames are turned to be upright."""
        self._scaler = VideoReformatter()
        self._tone_mapping: av.filter.Graph | None = None
        bits = max(component.bits for component in first.format.components)
        self.note: str | None = None
        """Sentence about what the film loses in its colours; None if it loses nothing."""
        if colours.transfer in _HIGH_DYNAMIC_RANGE:
            self._tone_mapping = _tone_mapping(first)
            name = _HIGH_DYNAMIC_RANGE[colours.transfer]
            self.note = f"its high dynamic range ({name}, {bits} bits) was mapped to standard dynamic range, 8 bits"
            colours = Colours(_BT709, ColorRange.MPEG, _BT709, _BT709)
        elif bits > 8:
            self.note = f"its {bits} bits a channel became 8"
        if colours.matrix == _RGB:
            colours = colours._replace(matrix=_BT709, range=ColorRange.MPEG)
        self.colours = colours
        """Colours of the film that is written."""

    def read(self, frame: VideoFrame) -> Pixels:
        """Return the pixels of a frame, upright."""
        if self._tone_mapping is not None:
            self._tone_mapping.push(frame)
            rgb = self._tone_mapping.pull()
        else:
            matrix = self._read_by.known_matrix(frame.width, frame.height)
            rgb = self._scaler.reformat(
                frame,
                format="rgb24",
                src_colorspace=None if self._read_by.matrix == _RGB else _SCALER_MATRICES[matrix],
                src_color_range=self._read_by.range or ColorRange.MPEG,
                dst_color_range=ColorRange.JPEG,
                interpolation=_EXACT,
            )
        return np.ascontiguousarray(np.rot90(rgb.to_ndarray(), self.quarter_turns))


class FrameWriter:
    """Turns RGB into the frames of one film that is encoded.

    Args:
        colours: Colours of the film.
        source: Width and height of the film's source, upright, whose matrix is assumed where none is told.
        target: Width and height of the encoded frames, both even.
    """

    pixel_format = _PIXEL_FORMAT

    def __init__(self, colours: Colours, source: tuple[int, int], target: tuple[int, int]) -> None:
        self._matrix = colours.known_matrix(*source)
        is_assumed_again = colours.known_matrix(*target) == self._matrix
        self.colours = colours if is_assumed_again else colours._replace(matrix=self._matrix)
        """Colours that the encoded film tells."""
        self._width, self._height = target
        self._scaler = VideoReformatter()

    def write(self, pixels: Pixels) -> VideoFrame:
        """Return the frame of the pixels, of which a last row or column beyond the size is left out."""
        rgb = VideoFrame.from_ndarray(np.ascontiguousarray(pixels[: self._height, : self._width]), format="rgb24")
        frame = self._scaler.reformat(
            rgb,
            format=_PIXEL_FORMAT,
            dst_colorspace=_SCALER_MATRICES[self._matrix],
            dst_color_range=self.colours.range or ColorRange.MPEG,
            interpolation=_EXACT,
        )
        frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc = (
            self.colours.matrix,
            self.colours.range,
            self.colours.primaries,
            self.colours.transfer,
        )
        return frame


def _tone_mapping(frame: VideoFrame) -> av.filter.Graph:
    """Return filters that map high dynamic range, as far as the film's brightest light, to RGB for usual screens."""
    graph = av.filter.Graph()
    source = graph.add(
        "buffer",
        args=f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base=1/1:"
        f"colorspace={frame.colorspace}:range={frame.color_range}",
    )
    scaler = graph.add("scale", f"out_transfer=bt709:out_primaries=bt709:out_range=pc:intent={TONE_MAPPING}")
    rgb, sink = graph.add("format", "rgb24"), graph.add("buffersink")
    source.link_to(scaler)
    scaler.link_to(rgb)
    rgb.link_to(sink)
    graph.configure()
    return graph
