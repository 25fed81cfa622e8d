"""3×3 convolution by Winograd's minimal filtering, F(4×4, 3×3) (Lavin and Gray 2016, section 4.3), with its gradient.

It makes the 4×4 outputs of a tile from its 6×6 inputs with 36 products of matrices, for which the plain convolution
needs 144. On a CPU it is up to twice as fast if there are many channels. In float32 the result differs from the plain
one by at most 1e-5. In bfloat16 its error is 0.5 % on features of pictures and 1.5 % on white noise; that of rounding
the plain result is 0.2 %.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

TILE = 4
"""The side in pixels of the square that a tile makes."""

_READ = 6
"""The side in pixels of the square that a tile reads."""
_BYTES_AT_ONCE = 128
"""Bytes of one channel of the tiles that are computed at the same time: so few that they stay in a core's cache."""
_POINTS = (0, 3 / 4, -3 / 4, 3 / 2, -3 / 2)
"""The points, besides infinity, at which polynomials are evaluated. Their error is half that of the usual 0, ±1, ±2."""


def _coefficients(roots: Sequence[float]) -> list[float]:
    """Return the six coefficients of the monic polynomial with these roots, the constant first."""
    coefficients = [1.0, 0, 0, 0, 0, 0]
    for root in roots:
        raised = [0, *coefficients[:-1]]
        coefficients = [above - root * here for above, here in zip(raised, coefficients, strict=True)]
    return coefficients


def _others(point: float) -> list[float]:
    return [other for other in _POINTS if other != point]


def _twice(matrix: Sequence[Sequence[float]]) -> Tensor:
    """Return the matrix that transforms both rows and columns of a square."""
    once = torch.tensor(matrix, dtype=torch.float64)
    return torch.kron(once, once)


_INPUT = _twice([*(_coefficients(_others(point)) for point in _POINTS), _coefficients(_POINTS)])
"""The matrix from the pixels that a tile reads to their transform, `(36, 36)`."""
_KERNEL = _twice(
    [
        *(
            [point**power / math.prod(point - other for other in _others(point)) for power in range(3)]
            for point in _POINTS
        ),
        [0, 0, 1],
    ]
)
"""The matrix from the taps of a kernel to their transform, `(36, 9)`."""
_OUTPUT = _twice([[*(point**power for point in _POINTS), float(power == 3)] for power in range(TILE)])
"""The matrix from the products to the pixels that a tile makes, `(16, 36)`."""


def transform_kernel(kernel: Tensor) -> Tensor:
    """Transform a kernel, `(K, C, 3, 3)`, to `(36, C, K)`; this is differentiable."""
    taps = kernel.permute(2, 3, 1, 0).reshape(9, -1)
    return (_KERNEL.to(taps) @ taps).view(36, kernel.shape[1], kernel.shape[0])


def convolve(padded: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve pictures; this is differentiable.

    Args:
        padded: The pictures with a border of 1 pixel, `(N, H+2, W+2, C)`. It is fastest if 4 divides H and W.
        kernel: The kernel from `transform_kernel`, `(36, C, K)`, of the same type.
        bias: The bias, `(K,)`, of the same type, or None.

    Returns:
        The convolved pictures, `(N, H, W, K)`.
    """
    result: Tensor = _Convolution.apply(padded, kernel, bias)
    return result


class _Convolution(Function):
    @staticmethod
    def forward(ctx: Any, padded: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
        count, height, width, channels = padded.shape
        height, width = height - 2, width - 2
        ctx.save_for_backward(padded if ctx.needs_input_grad[1] else None, kernel)
        read = _fill_tiles(padded, height, width)
        result = padded.new_empty(count, _whole(height), _whole(width), kernel.shape[2])
        to_transform, to_pixels = _INPUT.to(padded), _OUTPUT.to(padded)
        for tiles in _at_once(result):
            transformed = _multiply(to_transform, tiles.of(read, _READ))
            products = torch.bmm(transformed.view(_READ**2, -1, channels), kernel)
            made = tiles.of(result, TILE)
            pixels = _multiply(to_pixels, products).view(made.shape)
            made.copy_(pixels) if bias is None else torch.add(pixels, bias, out=made)
        return result[:, :height, :width]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Apply the transpose of each linear map of the forward pass, in the opposite order."""
        padded, kernel = ctx.saved_tensors
        count, height, width, outputs = gradient.shape
        inputs = kernel.shape[1]
        made = _fill_tiles(gradient, height, width)
        read = of_kernel = of_padded = None
        if ctx.needs_input_grad[0]:
            of_padded = gradient.new_zeros(count, made.shape[1] + TILE, made.shape[2] + TILE, inputs)
        if ctx.needs_input_grad[1]:
            read = _fill_tiles(padded, height, width)
            of_kernel = torch.zeros_like(kernel, dtype=torch.promote_types(kernel.dtype, torch.float32))
        to_transform, from_transform, from_pixels = _INPUT.to(made), _INPUT.T.to(made), _OUTPUT.T.to(made)
        for tiles in _at_once(made):
            products = _multiply(from_pixels, tiles.of(made, TILE)).view(_READ**2, -1, outputs)
            if read is not None and of_kernel is not None:
                transformed = _multiply(to_transform, tiles.of(read, _READ)).view(_READ**2, -1, inputs)
                of_kernel += torch.bmm(transformed.mT, products)
            if of_padded is not None:
                tiles.add(_multiply(from_transform, torch.bmm(products, kernel.mT)), of_padded)
        return (
            None if of_padded is None else of_padded[:, : height + 2, : width + 2],
            of_kernel,
            gradient.sum((0, 1, 2)) if ctx.needs_input_grad[2] else None,
        )


class _Tiles(NamedTuple):
    """Tiles that are computed at the same time: some rows of tiles in one picture, or all tiles of several pictures."""

    pictures: slice
    rows: slice
    columns: int

    def of(self, pixels: Tensor, side: int) -> Tensor:
        """Return a view of the pixels, `(N, H, W, C)`, by tile: `(side, side, pictures, rows, columns, C)`."""
        by_picture, by_row, by_column, by_channel = pixels.stride()
        shape = (side, side, _length(self.pictures), _length(self.rows), self.columns, pixels.shape[3])
        strides = (by_row, by_column, by_picture, TILE * by_row, TILE * by_column, by_channel)
        start = self.pictures.start * by_picture + self.rows.start * TILE * by_row
        return pixels.as_strided(shape, strides, pixels.storage_offset() + start)

    def add(self, values: Tensor, pixels: Tensor) -> None:
        """Add values to the pixels that the tiles read.

        The squares that tiles read overlap, but their quarters at the same place do not: each quarter is added apart.
        """
        for row, column in product((0, TILE), repeat=2):
            target = self.of(pixels[:, row:, column:], TILE)
            part = values.view(_READ, _READ, *target.shape[2:])[row : row + TILE, column : column + TILE]
            target[: len(part), : part.shape[1]] += part


def _at_once(pixels: Tensor) -> Iterator[_Tiles]:
    """Yield all tiles of pixels, `(N, H, W, C)`, in groups that are computed at the same time."""
    count, rows, columns = pixels.shape[0], pixels.shape[1] // TILE, pixels.shape[2] // TILE
    most = _BYTES_AT_ONCE // pixels.itemsize
    pictures_at_once, rows_at_once = max(1, most // (rows * columns)), max(1, min(rows, most // columns))
    for picture, row in product(range(0, count, pictures_at_once), range(0, rows, rows_at_once)):
        pictures = slice(picture, min(picture + pictures_at_once, count))
        yield _Tiles(pictures, slice(row, min(row + rows_at_once, rows)), columns)


def _fill_tiles(pixels: Tensor, height: int, width: int) -> Tensor:
    """Pad pixels with zeros at the right and the bottom so that their tiles make all of `(height, width)`."""
    right, bottom = _whole(width) - width, _whole(height) - height
    return F.pad(pixels, (0, 0, 0, right, 0, bottom)) if right or bottom else pixels


def _multiply(matrix: Tensor, values: Tensor) -> Tensor:
    return torch.mm(matrix, values.reshape(matrix.shape[1], -1))


def _whole(side: int) -> int:
    """Return the pixels that the tiles of a side make: the side, rounded up to whole tiles."""
    return -(-side // TILE) * TILE


def _length(part: slice) -> int:
    return int(part.stop - part.start)
