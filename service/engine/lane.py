"""The lane of a device, which computes one batch at a time, beside other lanes.

On CUDA a lane is a stream, so that one lane's pictures are copied while another's are computed. On the CPU it is a
thread: several lanes with one core each compute more pictures per second than one lane with all cores does, but a
single picture is computed soonest with all cores.
"""

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor

from model_store.nets import TransformNet, pad_to_multiple
from service.device.failures import answers
from service.inference import tiles
from service.inference.cuda.graphs import LaneGraphs


class Lane:
    """A lane, which computes on the thread that calls it; this must always be the same thread.

    Args:
        device: Device on which the nets are.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._cuda = _CudaLane(device) if device.type == "cuda" else None

    def use_cores(self, number: int) -> None:
        """Set the number of cores that the next batches may use; on CUDA this changes nothing."""
        if self._cuda is None and torch.get_num_threads() != number:
            torch.set_num_threads(number)

    @torch.inference_mode()
    def compute(self, net: TransformNet, pictures: Sequence[Tensor]) -> list[Tensor]:
        """Run a net on pictures of one padded size.

        Args:
            net: Net in evaluation mode, on the device.
            pictures: Pictures as uint8 RGB on the CPU, each `(H, W, 3)`.

        Returns:
            Pictures as uint8 RGB on the CPU, each `(H·factor, W·factor, 3)`.
        """
        side = tiles.tile_side(net)
        if side is not None and max(pictures[0].shape[:2]) > side:
            return [tiles.enlarge(net, each, side, lambda tile: self._compute(net, [tile])[0]) for each in pictures]
        return self._compute(net, pictures)

    def _compute(self, net: TransformNet, pictures: Sequence[Tensor]) -> list[Tensor]:
        """Run a net as `compute` does, on whole pictures or on tiles of one size."""
        height, width, _ = pictures[0].shape
        if net.is_large(height + -height % net.multiple, width + -width % net.multiple):
            with nullcontext() if self._cuda is None else self._cuda.in_use():
                return [net.compute_in_pieces(each) for each in pictures]
        sizes = [(each.shape[0] * net.factor, each.shape[1] * net.factor) for each in pictures]
        if self._cuda is not None:
            return self._cuda.compute(net, pictures, sizes)
        results = _run(net, pictures)
        return [result[:height, :width].contiguous() for result, (height, width) in zip(results, sizes, strict=True)]

    @torch.inference_mode()
    def is_lost(self) -> bool:
        """Return whether the device is lost; call this only after something failed on this lane."""
        if self._cuda is None:
            return not answers(self._device)
        return self._cuda.is_lost()

    def abandon(self) -> None:
        """Keep what this lane holds until the process ends, because the device is lost.

        Torch ends the process at once when page-locked memory or a pool of graphs is freed on a lost device, and then
        no waiting request would be answered.
        """
        if self._cuda is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._cuda))


class _CudaLane:
    """A CUDA stream, its graphs, and the memory through which pictures go to the device and come back."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._graphs = LaneGraphs()
        self._uploads, self._downloads = _PageLocked(), _PageLocked()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Run what is computed inside the block on this lane's stream, by its graphs."""
        with torch.cuda.stream(self._stream), self._graphs.in_use():
            yield

    def compute(self, net: TransformNet, pictures: Sequence[Tensor], sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
        """Run a net as `Lane.compute` does; `sizes` are the heights and widths of the results."""
        with self.in_use():
            results = _run(net, self._upload(pictures))
            downloaded = self._downloads.take(results.numel()).view(results.shape)
            downloaded.copy_(results, non_blocking=True)
            self._stream.synchronize()
        # Copies, because the next batch overwrites this memory.
        return [result[:height, :width].clone() for result, (height, width) in zip(downloaded, sizes, strict=True)]

    def is_lost(self) -> bool:
        """Return what `Lane.is_lost` returns."""
        with torch.cuda.stream(self._stream):
            return not answers(self._device)

    def _upload(self, pictures: Sequence[Tensor]) -> list[Tensor]:
        """Return the pictures on the device; the stream may still copy them there when this returns."""
        lengths = [each.numel() for each in pictures]
        staged = self._uploads.take(sum(lengths))
        for place, each in zip(torch.split(staged, lengths), pictures, strict=True):
            place.view(each.shape).copy_(each)
        uploaded = torch.split(staged.to(self._device, non_blocking=True), lengths)
        return [place.view(each.shape) for place, each in zip(uploaded, pictures, strict=True)]


class _PageLocked:
    """Page-locked memory of the host, which a device copies from and to while the host goes on.

    It grows with the largest batch and is kept, because allocating such memory takes milliseconds.
    """

    def __init__(self) -> None:
        self._bytes = torch.empty(0, dtype=torch.uint8)

    def take(self, size: int) -> Tensor:
        """Return the first `size` bytes of this memory; nothing may use those of an earlier call any more."""
        if self._bytes.numel() < size:
            self._bytes = torch.empty(0, dtype=torch.uint8)  # frees the old memory before the new is allocated
            self._bytes = torch.empty(2 ** (size - 1).bit_length(), dtype=torch.uint8, pin_memory=True)
        return self._bytes[:size]


def _run(net: TransformNet, pictures: Sequence[Tensor]) -> Tensor:
    """Run a net on uint8 pictures `(H, W, 3)` of one padded size; return `(N, H·factor, W·factor, 3)`, still padded."""
    batch = torch.cat([pad_to_multiple(_to_float(each), net.multiple) for each in pictures])
    results: Tensor = net(batch)
    return results.mul_(255).round_().byte().permute(0, 2, 3, 1)


def _to_float(pixels: Tensor) -> Tensor:
    """Convert uint8 pixels `(H, W, 3)` to float `(1, 3, H, W)` in [0, 1]."""
    return pixels.permute(2, 0, 1)[None].float().div_(255)
