"""The style net rearranged for CUDA.

Convolutions are cuDNN's, on frames; kernels of this project do the steps between them. Enlargements are folded into the
convolutions after them. The first and the last convolution work on cells of 2×2 pixels with four channels each, because
16 channels suit the device and 3 do not.

In float16, statistics, normalisation and the final tanh are in float32 nevertheless, and so is the colour of a flat
picture: only differences from it are rounded. The error of the result is then a fifth of that in bfloat16.

Needs triton, which comes with torch's builds for CUDA: import this only where it is needed.
"""

import copy
from typing import cast

import torch
import torch.nn.functional as F
import triton
from torch import Tensor, nn

from model_store.convolutions.folding import fold_enlargement, fold_shuffle
from model_store.nets import StyleNet, TransformNet
from service.inference.cpu.layers import Plain, PlainEnlarging, StyleLayers, convs_with_norms
from service.inference.cuda import kernels
from service.inference.cuda.normalisation import Features, Frame, Normalisation, Residual
from service.inference.large_painting import Painting

_CELLS = Frame(margin=4, in_cells=True)
_REFLECTED = Frame(margin=1)
_REPLICATED = Frame(margin=1, reflects=False)
_BLOCK_PIXELS = 512
_MEMORY_SHARE = 1 / 4
"""Largest share of a device's memory in which a picture is computed with all of its features."""
_FRAMES_AT_ONCE = 4
"""Number of features of the whole size and width for which there is memory then: three, and what cuDNN works in."""
_BAND_PIXELS = 2**20
"""Number of a large picture's pixels that are computed at once: so many that the device is busy for longer than Python
takes to launch what comes next, and so few that others wait for some milliseconds."""


class CudaStyleNet(TransformNet):
    """A net that makes what a `StyleNet` makes, but for the rounding of features and kernels.

    A picture whose features would take more than a share of the device's memory is painted in pieces, by torch's own
    convolutions in float32.

    Args:
        net: Style net on any device, in float32, which must stay as it is, on this device or another.
        dtype: Data type of features and kernels.
    """

    multiple = StyleNet.multiple
    bias: Tensor

    def __init__(self, net: StyleNet, dtype: torch.dtype = torch.float16) -> None:
        super().__init__()
        (conv, norm), *strided = convs_with_norms(net.encoder)
        fourth_input, fourth_output = (0, 0, 0, 0, 0, 1), (0, 0, 0, 0, 0, 0, 0, 1)
        self.first = _Layer(fold_shuffle(F.pad(conv.weight.detach(), fourth_input)), norm, makes_cells=True)
        self.strided = nn.ModuleList(_Layer(conv.weight, norm, conv.stride[0]) for conv, norm in strided)
        self.residuals = nn.ModuleList(
            nn.ModuleList(
                _Layer(conv.weight, norm) for conv, norm in convs_with_norms(cast("nn.Sequential", block.branch))
            )
            for block in net.residuals
        )
        enlarging = list(convs_with_norms(net.decoder))
        self.enlarging = nn.ModuleList(
            _Layer(fold_enlargement(conv.weight.detach()), norm, makes_cells=True) for conv, norm in enlarging
        )
        last = cast("nn.Conv2d", net.decoder[-1])
        self.last = _Convolution(fold_shuffle(F.pad(last.weight.detach(), fourth_output)))
        # The last convolution reads only how features differ from those of a flat picture; the bias adds what it would
        # make of the latter.
        flat = enlarging[-1][1].bias.detach().clamp_min(0)
        self.register_buffer("bias", last.bias.detach() + last.weight.detach().sum((2, 3)) @ flat)  # type: ignore[union-attr]
        for convolution in self.modules():
            if isinstance(convolution, _Convolution):
                convolution.kernel = convolution.kernel.to(dtype)
        self.bytes_per_large_pixel = _FRAMES_AT_ONCE * last.in_channels * dtype.itemsize
        self.net = net
        self.requires_grad_(requires_grad=False).eval()

    def is_large(self, height: int, width: int) -> bool:
        """Tell whether a picture is computed by `compute_in_pieces`; see `TransformNet.is_large`."""
        memory = torch.cuda.get_device_properties(self.bias.device).total_memory
        return height * width * self.bytes_per_large_pixel > memory * _MEMORY_SHARE

    def compute_in_pieces(self, pixels: Tensor) -> Tensor:
        """Paint one picture; see `TransformNet.compute_in_pieces`."""
        device = self.bias.device
        # Folded on the CPU, because CUDA may round the factors of what it folds.
        layers = StyleLayers(copy.deepcopy(self.net).cpu(), Plain, PlainEnlarging).to(device)
        return Painting(layers, pixels.to(device), _BAND_PIXELS).paint().cpu()

    def transform(self, pictures: Tensor) -> Tensor:
        """Map `(N, 3, H, W)`, with H and W multiples of 4, to the same shape, laid out channels-last."""
        frame = self.first(self._frame(pictures), _REFLECTED)
        # The layer before the first enlargement, whichever it is, makes a border of another kind.
        borders = [_REFLECTED] * (1 + len(self.residuals)) + [_REPLICATED]
        for layer, border in zip(self.strided, borders, strict=False):
            frame = layer(frame, border)
        for block, border in zip(self.residuals, borders[2:], strict=True):
            first, second = cast("nn.ModuleList", block)
            frame = second(first(frame, _REFLECTED), border, Residual(frame, _REFLECTED.margin))
        enlarge, enlarge_again = self.enlarging
        cells = enlarge_again(enlarge(frame, _REPLICATED), _CELLS)
        return self._paint(self.last(cells))

    def _frame(self, pictures: Tensor) -> Tensor:
        """Return the frame of the first convolution, in cells."""
        count, _, height, width = pictures.shape
        frame = self.last.kernel.new_empty(_CELLS.shape(count, height, width, 4))
        blocks = triton.cdiv(frame.numel() // (4 * count), _BLOCK_PIXELS)
        kernels.frame_pictures[(count * blocks,)](
            pictures,
            frame,
            *pictures.stride(),
            height,
            width,
            blocks,
            MARGIN=_CELLS.margin,
            BLOCK_PIXELS=_BLOCK_PIXELS,
        )
        return frame

    def _paint(self, cells: Tensor) -> Tensor:
        """Map the output of the last convolution, `(N, H/2, W/2, 16)`, to pictures `(N, 3, H, W)`."""
        count, height, width = cells.shape[0], 2 * cells.shape[1], 2 * cells.shape[2]
        pictures = cells.new_empty(count, height, width, 3, dtype=torch.float32)
        blocks = triton.cdiv(height * width, _BLOCK_PIXELS)
        kernels.paint[(count * blocks,)](
            cells,
            self.bias,
            pictures,
            height,
            width,
            blocks,
            BLOCK_PIXELS=_BLOCK_PIXELS,
            IS_BOUNDED=self.net.is_bounded,
        )
        return pictures.permute(0, 3, 1, 2)


class _Convolution(nn.Module):
    """A convolution of a frame, without a bias.

    Args:
        kernel: Kernel of shape `(K, C, k, k)`.
        stride: Stride in both directions.
    """

    kernel: Tensor

    def __init__(self, kernel: Tensor, stride: int = 1) -> None:
        super().__init__()
        self.register_buffer("kernel", kernel.detach().clone(memory_format=torch.channels_last))
        self.stride = stride

    def forward(self, frame: Tensor) -> Tensor:
        """Map a frame `(N, H, W, C)` to features with K channels, without the border."""
        features = F.conv2d(frame.permute(0, 3, 1, 2), self.kernel, stride=self.stride)
        return features.permute(0, 2, 3, 1).contiguous()


class _Layer(nn.Module):
    """A convolution together with the normalisation after it.

    The kernel is scaled so that no value of its output is larger than the largest of its input. So float16 can hold the
    output, as it holds the input. The normalisation undoes the scale.
    """

    def __init__(self, kernel: Tensor, norm: nn.InstanceNorm2d, stride: int = 1, *, makes_cells: bool = False) -> None:
        super().__init__()
        scale = kernel.abs().sum((1, 2, 3)).max().item() or 1.0
        self.convolution = _Convolution(kernel / scale, stride)
        self.norm = Normalisation(norm, scale)
        self.makes_cells = makes_cells

    def forward(self, frame: Tensor, border: Frame, residual: Residual | None = None) -> Tensor:
        """Map a frame to the next one, by a ReLU or, if there is a residual, by a sum."""
        features = Features(self.convolution(frame), self.makes_cells)
        following: Tensor = self.norm(features, border, residual)
        return following
