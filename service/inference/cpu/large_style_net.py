"""The style net on a CPU that computes large pictures in pieces."""

import torch
from torch import Tensor

from service.device.allocator import give_back_freed_memory
from service.inference.cpu import bands
from service.inference.cpu.style_net import CpuStyleNet
from service.inference.large_painting import Painting, kept_bytes

_MOST_PIXELS_AT_ONCE = 3 * 2**20
"""Largest number of pixels of a picture that is computed with all of its features in memory, which is faster."""
_BAND_PIXELS = 2**17
"""Number of the picture's pixels in a band: so few that others wait for a tenth of a second at most."""
_BYTES_PER_BAND_PIXEL = 500
"""Bytes of memory for each pixel of the bands that are being computed, for a net of the width 32, with what the
allocator keeps of them."""


class LargeStyleNet(CpuStyleNet):
    """A `CpuStyleNet` that computes large pictures in pieces."""

    def is_large(self, height: int, width: int) -> bool:
        """Tell whether a picture is computed by `compute_in_pieces`; see `TransformNet.is_large`."""
        return height * width > _MOST_PIXELS_AT_ONCE

    def bytes_needed(self, height: int, width: int) -> int:
        """Bytes of memory that a picture needs; see `TransformNet.bytes_needed`."""
        if not self.is_large(height, width):
            return super().bytes_needed(height, width)
        tiles = _BAND_PIXELS // (16 * width) + 1
        bands_pixels = torch.get_num_threads() * tiles * 16 * (width + 16)
        # The pixels before and after, padded and cropped.
        pixels = 3 * 3 * height * width
        kept = kept_bytes(self.layers, height, width)
        return kept + pixels + bands_pixels * _BYTES_PER_BAND_PIXEL * self.layers.width // 32

    def compute_in_pieces(self, pixels: Tensor) -> Tensor:
        """Paint one picture; see `TransformNet.compute_in_pieces`."""
        try:
            with bands.threads_of_one_core() as cores:
                return Painting(self.layers, pixels, _BAND_PIXELS, cores).paint().contiguous()
        finally:
            give_back_freed_memory()
