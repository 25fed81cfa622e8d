"""The style net in the form that a CPU computes fastest, in float32 throughout.

Pictures are computed one at a time, because a batch gains a CPU nothing, and in bands of rows, one for each core.
Convolutions at the quarter size and the enlarging ones use Winograd's algorithm, enlargements are folded into them, and
the last convolution makes cells of 2×2 pixels. Each normalisation writes straight into a frame, which is the padded
input of the next convolution.

A constant in a channel has no effect before a normalisation, which subtracts it again. So biases are left out, and
frames are shifted so that those of a flat picture are 0: of any other constant the convolutions would make a pattern of
rounding errors, which the normalisations would amplify.

Shapes: features are `(H, W, C)`, cells of 2×2 pixels are `(H/2, W/2, 2, 2, C)`, and frames have a margin around them.
"""

import math
from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_store.convolutions import winograd
from model_store.nets import StyleNet, TransformNet
from service.inference.cpu import bands
from service.inference.cpu.layers import Enlarging, StyleLayers, Winograd
from service.inference.cpu.margins import as_cells, reflect, reflect_cells, replicate

_MOST_BAND_PIXELS = 2**19
"""Largest number of the picture's pixels in one band, so that what a band alone needs takes little memory."""


class CpuStyleNet(TransformNet):
    """A net that makes what a `StyleNet` makes, up to rounding, on as many cores as torch may use on its thread.

    Args:
        net: Style net on the CPU, in float32; its weights are copied.
    """

    multiple = StyleNet.multiple

    def __init__(self, net: StyleNet) -> None:
        super().__init__()
        self.layers = StyleLayers(net, Winograd, Enlarging)
        self.eval()

    @property
    def bytes_per_pixel(self) -> int:
        """Bytes of memory for each pixel of the input; see `TransformNet.bytes_per_pixel`."""
        return 32 + 9 * self.layers.width

    def transform(self, pictures: Tensor) -> Tensor:
        """Map `(N, 3, H, W)`, with H and W multiples of 4, to the same shape, laid out channels-last."""
        with bands.threads_of_one_core() as cores:
            return torch.stack([self._paint(picture, cores) for picture in pictures]).permute(0, 3, 1, 2)

    def _paint(self, picture: Tensor, cores: int) -> Tensor:
        """Map one picture `(3, H, W)` to `(H, W, 3)`."""
        height, width = picture.shape[1:]
        # Bands consist of whole tiles at the quarter size.
        number = cores * math.ceil(height * width / (cores * _MOST_BAND_PIXELS))
        tiles = bands.split(math.ceil(height / (4 * winograd.TILE)), number)

        def rows(scale: int) -> list[slice]:
            return bands.rows_of(tiles, winograd.TILE * scale, height * scale // 4)

        shifted = (picture - picture[:, :1, :1]) * 2
        frame = F.pad(shifted[None], (4, 4, 4, 4), mode="reflect")[0].permute(1, 2, 0).contiguous()
        del shifted  # here and below: tensors kept too long would be most of the memory that a picture needs
        for layer, scale in zip(self.layers.encoder, (4, 2, 1), strict=True):
            parts = layer(frame, rows(scale), cores)
            del frame
            frame = picture.new_empty(height * scale // 4 + 2, width * scale // 4 + 2, parts.channels)
            parts.activate(frame[1:-1, 1:-1])
            del parts
            reflect(frame)
        for block in self.layers.residuals:
            first, second = cast("nn.ModuleList", block)
            branch = torch.empty_like(frame)
            first(frame, rows(1), cores).activate(branch[1:-1, 1:-1])
            reflect(branch)
            second(branch, rows(1), cores).add_to(frame[1:-1, 1:-1])
            del branch
            reflect(frame)
        replicate(frame)
        enlarge, enlarge_again = self.layers.enlarging
        parts = enlarge(frame, rows(1), cores)
        del frame
        frame = picture.new_empty(height // 2 + 2, width // 2 + 2, parts.channels)
        parts.activate(as_cells(frame[1:-1, 1:-1]))
        del parts
        replicate(frame)
        parts = enlarge_again(frame, rows(2), cores)
        del frame
        cells = picture.new_empty(height // 2 + 4, width // 2 + 4, 2, 2, parts.channels)
        parts.activate(cells[2:-2, 2:-2], is_shifted=False)
        del parts
        reflect_cells(cells)
        return self._finish(cells, rows(2), cores)

    def _finish(self, cells: Tensor, rows: Sequence[slice], cores: int) -> Tensor:
        """Map cells with a margin of 2 to pixels `(H, W, 3)` in about [0, 1], by the last convolution and the tanh."""
        height, width = cells.shape[0] - 4, cells.shape[1] - 4
        pixels = cells.new_empty(2 * height, 2 * width, 3)

        def finish(band: slice) -> None:
            as_cells(pixels)[band] = self.layers.finish(cells[band.start : band.stop + 4])

        bands.compute(finish, rows, cores)
        return pixels
