"""The painting of a large photo, in memory that is bounded by what lies at a quarter of the size.

InstanceNorm needs the statistics of the whole picture at every layer. Of a large picture, two frames of the body's
features at most are kept at a time, each of 32 bytes for a pixel of the photo, or 16 in half precision. The first
convolution, and the last but one, make features of the whole size: they are computed twice, once for the statistics and
once for what follows. The result is that of the whole net up to rounding.

Every step goes through the picture in bands of rows, on a CPU as many at a time as there are cores; between them the
engine may let other pictures in. Shapes are those of `service.inference.cpu.style_net`, but what is kept has no margin:
a band gets one, of the rows beside it or of the picture's border, when it is read.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from model_store.convolutions import winograd
from model_store.nets import StyleNet
from service.device.allocator import give_back_freed_memory
from service.inference import pieces
from service.inference.cpu import bands
from service.inference.cpu.layers import Layer, Moments, Part, StyleLayers
from service.inference.cpu.margins import as_cells, reflect, reflect_cells, replicate
from service.inference.cpu.scratch import Scratch

_MOST_PIXELS_IN_FLOAT32 = 24_500_000
"""Largest number of pixels of a picture whose body is kept in float32; that of a larger one is in half precision."""
_FINISH = 3
"""Time of the last pass through the picture, which computes two layers of the whole size; others take about 1."""
_GROUPS_BETWEEN_TRIMS = 8
"""Number of groups of bands after which freed memory is given back, because it would come to be scattered, and that
which is mapped from disk."""


class _Norm(NamedTuple):
    """A normalisation whose statistics are known."""

    scale: Tensor
    offset: Tensor
    """Constants of the channels, `(C)`: features are multiplied by the first and added to the second."""
    flat: Tensor
    """ReLU of what a flat picture becomes, `(C)`, by which activations are shifted."""

    def activate(self, features: Tensor, out: Tensor) -> None:
        """Write the ReLU of the normalised features, shifted so that that of a flat picture is 0."""
        torch.addcmul(self.offset - self.flat, _float(features), self.scale, out=out)
        torch.maximum(out, -self.flat, out=out)

    def activate_unshifted(self, features: Tensor, out: Tensor) -> None:
        """Write the ReLU of the normalised features."""
        torch.addcmul(self.offset, _float(features), self.scale, out=out).clamp_min_(0)


class _Fill(Protocol):
    """A function of `service.inference.cpu.margins` that fills the margin of a band."""

    def __call__(self, frame: Tensor, *, top: bool, bottom: bool) -> None: ...


class Painting:
    """The painting of one photo.

    All features that are kept lie in one block of scratch memory, which holds two frames of the body, each with one row
    to spare. Features of half the size take as much as one frame, or as two in half precision: then a frame is written
    over them, or they over a frame, row by row, as soon as what lies there was read.

    Args:
        layers: Layers of the net that paints, on any device.
        photo: Photo as uint8, `(H, W, 3)`, both sides from 16, on the same device.
        band_pixels: Number of the photo's pixels in a band, about.
        cores: Number of bands to compute at a time.
    """

    def __init__(self, layers: StyleLayers, photo: Tensor, band_pixels: int, cores: int = 1) -> None:
        self.layers, self.photo, self.cores = layers, _pad(photo), cores
        self.shape = photo.shape
        self.height, self.width, _ = self.photo.shape
        self.kept = _kept_type(self.height * self.width)
        most = max(1, band_pixels // (4 * winograd.TILE * self.width))
        tiles = math.ceil(self.height / (4 * winograd.TILE))
        self.tiles = bands.split(tiles, cores * math.ceil(tiles / (most * cores)))
        self.first, self.second, self.third = (cast("Layer", layer) for layer in layers.encoder)
        self.enlarge, self.enlarge_again = (cast("Layer", layer) for layer in layers.enlarging)
        groups = math.ceil(len(self.tiles) / cores)
        passes = len(layers.encoder) + 2 * len(layers.residuals) + len(layers.enlarging) + _FINISH
        self.made, self.made_by_group = 0.0, 1 / (groups * passes)
        self.body_row = self.width // 4 * self.third.channels * self.kept.itemsize
        self.scratch = Scratch(2 * (self.height // 4 + 1) * self.body_row, photo.device)

    def paint(self) -> Tensor:
        """Return the painting as uint8, `(H, W, 3)`, on the device; call this once only.

        Raises:
            Exception: There is not enough memory, or the painting is no longer wanted.
        """
        height, width, _ = self.shape
        return self._finish(*self._enlarge())[:height, :width]

    def _enlarge(self) -> tuple[Tensor, _Norm]:
        """Return the features of half the size, and the normalisation of them."""
        body = self._encode()
        for block in self.layers.residuals:
            self._add_branch(body, *(cast("Layer", layer) for layer in cast("nn.ModuleList", block)))
        # The body makes room: its end is read before the enlarged features, which grow from the start, come that far.
        small = self._second_frame()
        self._for_each_band(1, lambda rows: small[rows].copy_(body[rows]))
        enlarged = self._kept(0, self.height // 2, self.enlarge.channels, torch.float16)
        norm = self._pass(
            self.enlarge,
            1,
            lambda rows: _around(small[:-1], rows, 1, replicate),
            lambda rows, cells: as_cells(enlarged)[rows].copy_(cells),
        )
        return enlarged, norm

    def _encode(self) -> Tensor:
        """Return the input of the residual blocks, which lies at a quarter of the size."""
        corner = self.photo[0, 0].float()

        def read(pixels: Tensor, out: Tensor) -> None:
            torch.sub(pixels, corner, out=out).mul_(2 / 255)

        def frame_of_photo(rows: slice) -> Tensor:
            return _around(self.photo, rows, 4, _reflect_by_4, read)

        def frame_of_first(rows: slice) -> Tensor:
            return _between(
                lambda rows: self.first.convolve(frame_of_photo(rows), slice(0, rows.stop - rows.start)),
                _twice(rows),
                1,
                self.height,
                reflect,
                norm.activate,
            )

        norm = self._pass(self.first, 4, frame_of_photo)
        # Each row of the body is written where half-size rows lay that were read, because these lie one row further.
        row = self.width // 2 * self.second.channels * torch.float16.itemsize
        half = self._kept(row, self.height // 2, self.second.channels, torch.float16)
        norm_of_half = self._pass(self.second, 2, frame_of_first, lambda rows, part: half[rows].copy_(part))
        body = self._kept(0, self.height // 4, self.third.channels, self.kept)
        norm = self._pass(
            self.third,
            1,
            lambda rows: _around(half, _twice(rows), 1, reflect, norm_of_half.activate),
            lambda rows, part: body[rows].copy_(part),
        )
        self._for_each_band(1, lambda rows: body[rows].copy_(_activated(norm, body[rows])))
        return body

    def _add_branch(self, body: Tensor, first: Layer, second: Layer) -> None:
        """Add the branch of a residual block to the body, but for a constant in each channel."""
        # The second convolution overwrites the output of the first, a row higher: what it has not read yet stays.
        shifted = self._second_frame()
        branch, result = shifted[1:], shifted[:-1]
        norm = self._pass(
            first, 1, lambda rows: _around(body, rows, 1, reflect), lambda rows, part: branch[rows].copy_(part)
        )
        norm_of_result = self._pass(
            second,
            1,
            lambda rows: _around(branch, rows, 1, reflect, norm.activate),
            lambda rows, part: result[rows].copy_(part),
        )
        scale, offset = norm_of_result.scale, norm_of_result.offset - second.shift

        def add(rows: slice) -> None:
            if body.dtype == torch.float32:
                body[rows].addcmul_(result[rows], scale).add_(offset)
            else:
                body[rows] = torch.addcmul(_float(body[rows]), _float(result[rows]), scale).add_(offset)

        self._for_each_band(1, add)

    def _finish(self, enlarged: Tensor, norm: _Norm) -> Tensor:
        """Return the pixels that the last two convolutions make of features of half the size."""
        painting = self.photo.new_empty(self.photo.shape)

        def frame_of_enlarged(rows: slice) -> Tensor:
            return _around(enlarged, rows, 1, replicate, norm.activate)

        last_norm = self._pass(self.enlarge_again, 2, frame_of_enlarged)

        def finish(rows: slice) -> None:
            frame = _between(
                lambda rows: self.enlarge_again.convolve(frame_of_enlarged(rows), slice(0, rows.stop - rows.start)),
                rows,
                2,
                self.height // 2,
                reflect_cells,
                last_norm.activate_unshifted,
            )
            painted = self.layers.finish(frame)
            as_cells(painting)[rows] = painted.clamp_(0, 1).mul_(255).round_()

        self._for_each_band(2, finish, _FINISH)
        return painting

    def _pass(
        self,
        layer: Layer,
        scale: int,
        frame_of: Callable[[slice], Tensor],
        keep: Callable[[slice, Tensor], object] | None = None,
    ) -> _Norm:
        """Compute a convolution by bands, and return the normalisation after it.

        Args:
            layer: Layer of the convolution.
            scale: Height of the output in quarters of the picture's.
            frame_of: Function that returns the frame from which the convolution makes the given rows.
            keep: Function that keeps the given rows of the output, after all that are computed with it; None forgets
                them.
        """

        def make(rows: slice) -> Part:
            return layer.make_part(frame_of(rows), slice(0, rows.stop - rows.start))._replace(rows=rows)

        moments: list[Moments] = []
        for group in self._groups(scale):
            parts = bands.compute(make, group, self.cores)
            moments += [part.moments for part in parts]
            if keep is not None:
                bands.compute(lambda part: keep(part.rows, part.features.add_(part.mean)), parts, self.cores)
            del parts
        mean, factor = layer.statistics(moments)
        return _Norm(factor, layer.shift - mean * factor, layer.shift.clamp_min(0))

    def _for_each_band(self, scale: int, work: Callable[[slice], object], time: float = 0) -> None:
        for group in self._groups(scale, time):
            bands.compute(work, group, self.cores)

    def _groups(self, scale: int, time: float = 1) -> Iterator[Sequence[slice]]:
        """Yield the bands that are computed at the same time, as rows of what is `scale` quarters high, with pauses.

        The time of the whole pass, relative to others, counts for the progress that is told in the pauses.
        """
        rows = bands.rows_of(self.tiles, winograd.TILE * scale, self.height * scale // 4)
        for number, start in enumerate(range(0, len(rows), self.cores)):
            if self.photo.is_cuda:  # which would take orders for the whole picture, and make others wait behind it
                torch.cuda.current_stream(self.photo.device).synchronize()
            pieces.pause(self.made)
            if number % _GROUPS_BETWEEN_TRIMS == 0 and not self.photo.is_cuda:
                give_back_freed_memory()
                self.scratch.release()
            yield rows[start : start + self.cores]
            self.made += time * self.made_by_group

    def _second_frame(self) -> Tensor:
        """Return the second half of the memory as features of the body's size, with one row more."""
        rows = self.height // 4 + 1
        return self._kept(rows * self.body_row, rows, self.third.channels, self.kept)

    def _kept(self, start: int, rows: int, channels: int, dtype: torch.dtype) -> Tensor:
        """Return a part of the memory, from a byte on, as features `(rows, W, C)` of half or quarter the size."""
        width = self.width // (2 if channels == self.second.channels else 4)
        size = rows * width * channels * dtype.itemsize
        return self.scratch.bytes[start : start + size].view(dtype).view(rows, width, channels)


def _around(
    kept: Tensor,
    rows: slice,
    margin: int,
    fill: _Fill,
    write: Callable[[Tensor, Tensor], object] = lambda features, out: out.copy_(features),
) -> Tensor:
    """Return rows of what is kept in a frame, with the margin around them; see `_between`."""
    return _between(lambda rows: kept[rows], rows, margin, len(kept), fill, write)


def _between(
    make: Callable[[slice], Tensor],
    rows: slice,
    margin: int,
    height: int,
    fill: _Fill,
    write: Callable[[Tensor, Tensor], object],
) -> Tensor:
    """Return rows of a picture in a frame, with the margin around them.

    Args:
        make: Function that returns rows of features.
        rows: Rows without the margin.
        margin: Width of the margin.
        height: Number of rows of the whole picture.
        fill: Function that fills the margin beyond the picture's border.
        write: Function that writes features into a part of the frame.
    """
    top, bottom = rows.start < margin, rows.stop + margin > height
    first = 0 if top else rows.start - margin
    last = height if bottom else rows.stop + margin
    features = make(slice(first, last))
    before = margin - (rows.start - first)
    shape = (rows.stop - rows.start + 2 * margin, features.shape[1] + 2 * margin, *features.shape[2:])
    frame = features.new_empty(shape, dtype=torch.float32)
    write(features, frame[before : before + last - first, margin:-margin])
    fill(frame, top=top, bottom=bottom)
    return frame


def _reflect_by_4(frame: Tensor, *, top: bool, bottom: bool) -> None:
    reflect(frame, 4, top=top, bottom=bottom)


def _twice(rows: slice) -> slice:
    """Return the rows from which a convolution with a stride of 2 makes the given ones, without the margin of 1."""
    return slice(2 * rows.start, 2 * rows.stop - 1)


def _activated(norm: _Norm, features: Tensor) -> Tensor:
    out = features.new_empty(features.shape, dtype=torch.float32)
    norm.activate(features, out)
    return out


def _float(features: Tensor) -> Tensor:
    return features.float()


def kept_bytes(layers: StyleLayers, height: int, width: int) -> int:
    """Return the bytes of memory in which the features of a photo are kept, beside its bands and its pixels."""
    return height * width * _kept_type(height * width).itemsize * 4 * layers.width // 16 * 2


def _kept_type(pixels: int) -> torch.dtype:
    return torch.float32 if pixels <= _MOST_PIXELS_IN_FLOAT32 else torch.float16


def _pad(pixels: Tensor) -> Tensor:
    """Pad uint8 pixels by reflection at the right and the bottom to multiples of 4."""
    for axis in (0, 1):
        size = pixels.shape[axis]
        missing = -size % StyleNet.multiple
        if missing:
            edge = pixels.narrow(axis, size - 1 - missing, missing).flip(axis)
            pixels = torch.cat([pixels, edge], axis)
    return pixels
