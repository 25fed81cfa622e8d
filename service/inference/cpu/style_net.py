"""The style net as a CPU computes it fastest, in float32 throughout.

Pictures are computed one at a time, because a batch gains a CPU nothing, and in bands of rows, one for each core.
Convolutions at the quarter size and the enlarging ones are Winograd's, enlargements are folded into them, and the last
convolution makes cells of 2×2 pixels. Each normalisation writes straight into a frame, the padded input of the next
convolution.

Whatever is constant in a channel has no effect before a normalisation, which takes it away again. So biases are left
out, and frames are shifted such that a flat picture's are 0: of anything else the convolutions would make a pattern of
rounding errors, which the normalisations would blow up.

Shapes: features are `(H, W, C)`, cells of 2×2 pixels `(H/2, W/2, 2, 2, C)`, frames have a margin around them.
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
"""Of the picture in one band, so that what is needed for a band only takes little memory."""


class CpuStyleNet(TransformNet):
    """A net that makes what a `StyleNet` makes, to rounding, on as many cores as the calling thread has torch threads.

    Args:
        net: The style net, on the CPU, in float32; its weights are copied.
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
        """`(3, H, W)` to `(H, W, 3)`."""
        height, width = picture.shape[1:]
        # Bands consist of whole tiles at the quarter size.
        number = cores * math.ceil(height * width / (cores * _MOST_BAND_PIXELS))
        tiles = bands.split(math.ceil(height / (4 * winograd.TILE)), number)

        def rows(scale: int) -> list[slice]:
            size = winograd.TILE * scale
            return [slice(size * each.start, min(size * each.stop, height * scale // 4)) for each in tiles]

        shifted = (picture - picture[:, :1, :1]) * 2
        frame = F.pad(shifted[None], (4, 4, 4, 4), mode="reflect")[0].permute(1, 2, 0).contiguous()
        del shifted  # here and below: what is kept too long is most of the memory that a picture needs
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
        """Cells with a margin of 2 to pixels `(H, W, 3)` in about [0, 1]."""
        height, width = cells.shape[0] - 4, cells.shape[1] - 4
        pixels = cells.new_empty(2 * height, 2 * width, 3)

        def finish(band: slice) -> None:
            frame = cells[band.start : band.stop + 4].flatten(2)
            painted = _convolve(frame, self.last.weight, self.last.bias).tanh_().mul_(0.55).add_(0.5)
            _as_cells(pixels)[band] = painted.view(-1, width, 2, 2, 3)

        bands.compute(finish, rows, cores)
        return pixels


class _Part(NamedTuple):
    """A band of what a convolution makes."""

    rows: slice
    features: Tensor
    """Features or cells, with mean 0 in each channel."""
    mean: Tensor
    """`(C)`: what was subtracted."""
    squares: Tensor
    """`(C)`: the sum of the squares."""

    @property
    def positions(self) -> int:
        return self.features.numel() // self.features.shape[-1]


class _Parts:
    """All bands of what a convolution makes, to be normalised.

    Args:
        parts: the bands.
        layer: whose normalisation it is.
        cores: to compute on.
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
        """Writes the ReLU of what is normalised, shifted such that a flat picture's is 0 if asked for; once only."""
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
        """Adds what is normalised, but for a constant in each channel; once only."""

        def add(part: tuple[slice, Tensor, Tensor]) -> None:
            rows, features, offset = part
            out[rows].addcmul_(features, self._scale).add_(offset)
            _free(features)

        bands.compute(add, self._parts, self._cores)


class _Layer(nn.Module):
    """A convolution and the normalisation after it."""

    gain: Tensor
    shift: Tensor

    def __init__(self, norm: nn.InstanceNorm2d) -> None:
        super().__init__()
        self.register_buffer("gain", norm.weight.detach().clone())
        self.register_buffer("shift", norm.bias.detach().clone())
        self.eps = norm.eps
        self.channels = norm.num_features

    def convolve(self, frame: Tensor, rows: slice) -> Tensor:
        """Some rows of features or cells, in memory that nobody else holds."""
        raise NotImplementedError

    def forward(self, frame: Tensor, rows: Sequence[slice], cores: int) -> _Parts:
        """Convolves a frame, in bands of these rows of the result."""

        def convolve(band: slice) -> _Part:
            features = self.convolve(frame, band)
            # Many times as fast as torch.var_mean, and no less precise.
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
    """The convolutions that a normalisation follows, with it."""
    convs = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in layers if isinstance(layer, nn.InstanceNorm2d)]
    return zip(convs, norms, strict=False)  # the last convolution has no normalisation


def _channels_last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last)


def _convolve(frame: Tensor, kernel: Tensor, bias: Tensor | None = None, stride: int = 1) -> Tensor:
    return F.conv2d(frame.permute(2, 0, 1)[None], kernel, bias, stride)[0].permute(1, 2, 0)


def _free(features: Tensor) -> None:
    """Gives memory back band by band, where the tensors themselves are let go together."""
    features.untyped_storage().resize_(0)


def _total(tensors: Iterable[Tensor]) -> Tensor:
    return reduce(torch.add, tensors)


def _sum(features: Tensor) -> Tensor:
    """Of each channel; over rows first, which is many times as fast where they are not next to each other."""
    return features.sum(0).flatten(end_dim=-2).sum(0)


def _as_cells(pixels: Tensor) -> Tensor:
    """A view of `(2·H, 2·W, C)` as `(H, W, 2, 2, C)`."""
    height, width, channels = pixels.shape
    by_row, by_column, _ = pixels.stride()
    shape = (height // 2, width // 2, 2, 2, channels)
    return pixels.as_strided(shape, (2 * by_row, 2 * by_column, by_row, by_column, 1), pixels.storage_offset())


def _reflect(frame: Tensor) -> None:
    """Fills the border of 1 by reflection."""
    for lines in (frame, frame.transpose(0, 1)):
        lines[0], lines[-1] = lines[2], lines[-3]


def _replicate(frame: Tensor) -> None:
    """Fills the border of 1 by replication."""
    for lines in (frame, frame.transpose(0, 1)):
        lines[0], lines[-1] = lines[1], lines[-2]


def _reflect_cells(frame: Tensor) -> None:
    """Fills the border of 2 cells by reflection of their pixels."""
    for axis in (0, 1):
        even, odd = frame.transpose(0, axis).unbind(2 + axis)
        for k in (1, 2):
            even[2 - k], odd[2 - k] = even[2 + k], odd[1 + k]
            even[k - 3], odd[k - 3] = even[-2 - k], odd[-3 - k]
