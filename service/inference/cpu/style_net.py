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
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_store.convolutions import winograd
from model_store.convolutions.folding import fold_enlargement, fold_shuffle
from model_store.nets import StyleNet, TransformNet
from service.inference.cpu import bands

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
        self.encoder = nn.ModuleList(_Strided(*each) for each in convs_with_norms(net.encoder))
        self.residuals = nn.ModuleList(
            nn.ModuleList(_Winograd(*each) for each in convs_with_norms(cast("nn.Sequential", block.branch)))
            for block in net.residuals
        )
        self.enlarging = nn.ModuleList(_Enlarging(*each) for each in convs_with_norms(net.decoder))
        last = cast("nn.Conv2d", net.decoder[-1])
        self.width = last.in_channels
        self.last = nn.Conv2d(4 * last.in_channels, 4 * last.out_channels, 5)
        self.last.weight.data = _channels_last(fold_shuffle(last.weight.detach()))
        self.last.bias.data = cast("Tensor", last.bias).detach().repeat(4)  # type: ignore[union-attr]
        self.requires_grad_(requires_grad=False).eval()

    @property
    def bytes_per_pixel(self) -> int:
        """Bytes of memory for each pixel of the input; see `TransformNet.bytes_per_pixel`."""
        return 32 + 9 * self.width

    def transform(self, pictures: Tensor) -> Tensor:
        """Map `(N, 3, H, W)`, with H and W multiples of 4, to the same shape, laid out channels-last."""
        cores = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return torch.stack([self._paint(picture, cores) for picture in pictures]).permute(0, 3, 1, 2)
        finally:
            torch.set_num_threads(cores)

    def _paint(self, picture: Tensor, cores: int) -> Tensor:
        """Map one picture `(3, H, W)` to `(H, W, 3)`."""
        height, width = picture.shape[1:]
        # Bands consist of whole tiles at the quarter size.
        number = cores * math.ceil(height * width / (cores * _MOST_BAND_PIXELS))
        tiles = bands.split(math.ceil(height / (4 * winograd.TILE)), number)

        def rows(scale: int) -> list[slice]:
            size = winograd.TILE * scale
            return [slice(size * each.start, min(size * each.stop, height * scale // 4)) for each in tiles]

        shifted = (picture - picture[:, :1, :1]) * 2
        frame = F.pad(shifted[None], (4, 4, 4, 4), mode="reflect")[0].permute(1, 2, 0).contiguous()
        del shifted  # here and below: tensors kept too long would be most of the memory that a picture needs
        for layer, scale in zip(self.encoder, (4, 2, 1), strict=True):
            parts = layer(frame, rows(scale), cores)
            del frame
            frame = picture.new_empty(height * scale // 4 + 2, width * scale // 4 + 2, parts.channels)
            parts.activate(frame[1:-1, 1:-1])
            del parts
            _reflect(frame)
        for block in self.residuals:
            first, second = cast("nn.ModuleList", block)
            branch = torch.empty_like(frame)
            first(frame, rows(1), cores).activate(branch[1:-1, 1:-1])
            _reflect(branch)
            second(branch, rows(1), cores).add_to(frame[1:-1, 1:-1])
            del branch
            _reflect(frame)
        _replicate(frame)
        enlarge, enlarge_again = self.enlarging
        parts = enlarge(frame, rows(1), cores)
        del frame
        frame = picture.new_empty(height // 2 + 2, width // 2 + 2, parts.channels)
        parts.activate(_as_cells(frame[1:-1, 1:-1]))
        del parts
        _replicate(frame)
        parts = enlarge_again(frame, rows(2), cores)
        del frame
        cells = picture.new_empty(height // 2 + 4, width // 2 + 4, 2, 2, parts.channels)
        parts.activate(cells[2:-2, 2:-2], is_shifted=False)
        del parts
        _reflect_cells(cells)
        return self._finish(cells, rows(2), cores)

    def _finish(self, cells: Tensor, rows: Sequence[slice], cores: int) -> Tensor:
        """Map cells with a margin of 2 to pixels `(H, W, 3)` in about [0, 1], by the last convolution and the tanh."""
        height, width = cells.shape[0] - 4, cells.shape[1] - 4
        pixels = cells.new_empty(2 * height, 2 * width, 3)

        def finish(band: slice) -> None:
            frame = cells[band.start : band.stop + 4].flatten(2)
            painted = _convolve(frame, self.last.weight, self.last.bias).tanh_().mul_(0.55).add_(0.5)
            _as_cells(pixels)[band] = painted.view(-1, width, 2, 2, 3)

        bands.compute(finish, rows, cores)
        return pixels


class _Part(NamedTuple):
    """One band of a convolution's output."""

    rows: slice
    """Rows of the output that the band consists of."""
    features: Tensor
    """Features or cells, with a mean of 0 in each channel."""
    mean: Tensor
    """Mean of each channel, which was subtracted, `(C)`."""
    squares: Tensor
    """Sum of the squares of the features in each channel, `(C)`."""

    @property
    def positions(self) -> int:
        """Number of pixels in the band."""
        return self.features.numel() // self.features.shape[-1]


class _Parts:
    """All bands of a convolution's output, which are to be normalised.

    Args:
        parts: Bands of the output.
        layer: Layer of the convolution, with its normalisation.
        cores: Number of cores to compute on.
    """

    def __init__(self, parts: Sequence[_Part], layer: "_Layer", cores: int) -> None:
        positions = sum(part.positions for part in parts)
        mean = _total(part.mean * (part.positions / positions) for part in parts)
        squares = _total(part.squares + (part.mean - mean).square() * part.positions for part in parts)
        self.channels = layer.channels
        self._scale = layer.gain * torch.rsqrt(squares / positions + layer.eps)
        self._shift = layer.shift
        self._cores = cores
        self._parts = [(part.rows, part.features, (part.mean - mean) * self._scale) for part in parts]

    def activate(self, out: Tensor, *, is_shifted: bool = True) -> None:
        """Write the ReLU of the normalised features; call this once only, because it frees the features.

        Args:
            out: Features or cells of the same size, which are overwritten.
            is_shifted: Whether to shift the result so that that of a flat picture is 0.
        """
        flat = self._shift.clamp_min(0) if is_shifted else torch.zeros(())
        lowest = -flat

        def activate(part: tuple[slice, Tensor, Tensor]) -> None:
            rows, features, offset = part
            target = out[rows]
            torch.addcmul(self._shift - flat + offset, features, self._scale, out=target)
            torch.maximum(target, lowest, out=target)
            _free(features)

        bands.compute(activate, self._parts, self._cores)

    def add_to(self, out: Tensor) -> None:
        """Add the normalised features, but for a constant in each channel; call this once only, as it frees them."""

        def add(part: tuple[slice, Tensor, Tensor]) -> None:
            rows, features, offset = part
            out[rows].addcmul_(features, self._scale).add_(offset)
            _free(features)

        bands.compute(add, self._parts, self._cores)


class _Layer(nn.Module):
    """A convolution together with the normalisation after it."""

    gain: Tensor
    shift: Tensor

    def __init__(self, norm: nn.InstanceNorm2d) -> None:
        super().__init__()
        self.register_buffer("gain", norm.weight.detach().clone())
        self.register_buffer("shift", norm.bias.detach().clone())
        self.eps = norm.eps
        self.channels = norm.num_features

    def convolve(self, frame: Tensor, rows: slice) -> Tensor:
        """Return some rows of the output, features or cells, in memory that nothing else refers to."""
        raise NotImplementedError

    def forward(self, frame: Tensor, rows: Sequence[slice], cores: int) -> _Parts:
        """Convolve a frame, in bands that consist of the given rows of the result."""

        def convolve(band: slice) -> _Part:
            features = self.convolve(frame, band)
            # This is many times as fast as torch.var_mean, and no less precise.
            mean = _sum(features) / (features.numel() // self.channels)
            features.sub_(mean)
            return _Part(band, features, mean, _sum(features.square()))

        return _Parts(bands.compute(convolve, rows, cores), self, cores)


class _Strided(_Layer):
    kernel: Tensor

    def __init__(self, conv: nn.Conv2d, norm: nn.InstanceNorm2d) -> None:
        super().__init__(norm)
        self.register_buffer("kernel", _channels_last(conv.weight.detach()))
        self.stride = conv.stride[0]

    def convolve(self, frame: Tensor, rows: slice) -> Tensor:
        stop = (rows.stop - 1) * self.stride + self.kernel.shape[2]
        return _convolve(frame[rows.start * self.stride : stop], self.kernel, stride=self.stride)


class _Winograd(_Layer):
    kernel: Tensor

    def __init__(self, conv: nn.Conv2d, norm: nn.InstanceNorm2d) -> None:
        super().__init__(norm)
        self.register_buffer("kernel", winograd.transform_kernel(conv.weight.detach()))

    def convolve(self, frame: Tensor, rows: slice) -> Tensor:
        return winograd.convolve(frame[None, rows.start : rows.stop + 2], self.kernel)[0]


class _Enlarging(_Winograd):
    def __init__(self, conv: nn.Conv2d, norm: nn.InstanceNorm2d) -> None:
        super().__init__(conv, norm)
        self.kernel = winograd.transform_kernel(fold_enlargement(conv.weight.detach()))

    def convolve(self, frame: Tensor, rows: slice) -> Tensor:
        cells = super().convolve(frame, rows)
        return cells.view(*cells.shape[:2], 2, 2, self.channels)


def convs_with_norms(layers: nn.Sequential) -> Iterator[tuple[nn.Conv2d, nn.InstanceNorm2d]]:
    """Return each convolution that a normalisation follows, together with that normalisation."""
    convs = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in layers if isinstance(layer, nn.InstanceNorm2d)]
    return zip(convs, norms, strict=False)  # the last convolution has no normalisation


def _channels_last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last)


def _convolve(frame: Tensor, kernel: Tensor, bias: Tensor | None = None, stride: int = 1) -> Tensor:
    return F.conv2d(frame.permute(2, 0, 1)[None], kernel, bias, stride)[0].permute(1, 2, 0)


def _free(features: Tensor) -> None:
    """Free the memory of one band at once, although the tensors of all bands are let go together."""
    features.untyped_storage().resize_(0)


def _total(tensors: Iterable[Tensor]) -> Tensor:
    return reduce(torch.add, tensors)


def _sum(features: Tensor) -> Tensor:
    """Return the sum of each channel; over rows first, which is many times as fast if they lie apart in memory."""
    return features.sum(0).flatten(end_dim=-2).sum(0)


def _as_cells(pixels: Tensor) -> Tensor:
    """Return a view of pixels `(2·H, 2·W, C)` as cells `(H, W, 2, 2, C)`."""
    height, width, channels = pixels.shape
    by_row, by_column, _ = pixels.stride()
    shape = (height // 2, width // 2, 2, 2, channels)
    return pixels.as_strided(shape, (2 * by_row, 2 * by_column, by_row, by_column, 1), pixels.storage_offset())


def _reflect(frame: Tensor) -> None:
    """Fill the border of 1 by reflection."""
    for lines in (frame, frame.transpose(0, 1)):
        lines[0], lines[-1] = lines[2], lines[-3]


def _replicate(frame: Tensor) -> None:
    """Fill the border of 1 by replication."""
    for lines in (frame, frame.transpose(0, 1)):
        lines[0], lines[-1] = lines[1], lines[-2]


def _reflect_cells(frame: Tensor) -> None:
    """Fill the border of 2 cells by reflection of their pixels."""
    for axis in (0, 1):
        even, odd = frame.transpose(0, axis).unbind(2 + axis)
        for k in (1, 2):
            even[2 - k], odd[2 - k] = even[2 + k], odd[1 + k]
            even[k - 3], odd[k - 3] = even[-2 - k], odd[-3 - k]
