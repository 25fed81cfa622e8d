"""A lane of a device: computes one batch at a time, beside other lanes.

On CUDA a lane is a stream, so that one lane's pictures are copied while another's are computed. On the CPU it is a
thread: several lanes with a core each make more pictures per second than one after the other on all cores do, and a
single picture is made soonest by all cores.
"""

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor

from model_store.nets import TransformNet, pad_to_multiple
from service.device.failures import answers
from service.inference.cuda.graphs import LaneGraphs


class Lane:
    """Computes on the thread that calls it, which must always be the same.

    Args:
        device: Where the nets are.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._cuda = _CudaLane(device) if device.type == "cuda" else None

    def use_cores(self, number: int) -> None:
        """Set how many cores the next batches may use, on a CPU."""
        if self._cuda is None and torch.get_num_threads() != number:
            torch.set_num_threads(number)

    @torch.inference_mode()
    def compute(self, net: TransformNet, pictures: Sequence[Tensor]) -> list[Tensor]:
        """Run a net on pictures of one padded size.

        Args:
            net: On the device.
            pictures: uint8 RGB on the CPU, each `(H, W, 3)`.

        Returns:
            uint8 RGB on the CPU, each `(H·factor, W·factor, 3)`.
        """
        sizes = [(each.shape[0] * net.factor, each.shape[1] * net.factor) for each in pictures]
        if self._cuda is not None:
            return self._cuda.compute(net, pictures, sizes)
        results = _run(net, pictures)
        return [result[:height, :width].contiguous() for result, (height, width) in zip(results, sizes, strict=True)]

    @torch.inference_mode()
    def is_lost(self) -> bool:
        """Return whether the device computes nothing any more; asked after something failed on this lane."""
        if self._cuda is None:
            return not answers(self._device)
        return self._cuda.is_lost()

    def abandon(self) -> None:
        """Keep what this lane holds until the process ends, because the device is lost.

        Torch ends the process at once where page-locked memory or a pool of graphs is freed on a lost device, and
        nobody would be answered.
        """
        if self._cuda is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._cuda))


class _CudaLane:
    """A stream, its graphs, and the memory through which pictures go to the device and come back."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._graphs = LaneGraphs()
        self._uploads, self._downloads = _PageLocked(), _PageLocked()

    def compute(self, net: TransformNet, pictures: Sequence[Tensor], sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
        """Do what `Lane.compute` does; the sizes are of the results."""
        with torch.cuda.stream(self._stream), self._graphs.in_use():
            results = _run(net, self._upload(pictures))
            downloaded = self._downloads.take(results.numel()).view(results.shape)
            downloaded.copy_(results, non_blocking=True)
            self._stream.synchronize()
        # Copies, because the next batch comes to the same place.
        return [result[:height, :width].clone() for result, (height, width) in zip(downloaded, sizes, strict=True)]

    def is_lost(self) -> bool:
        """Do what `Lane.is_lost` does."""
        with torch.cuda.stream(self._stream):
            return not answers(self._device)

    def _upload(self, pictures: Sequence[Tensor]) -> list[Tensor]:
        """Return pictures on the device; they are still copied there when the next work is launched."""
        lengths = [each.numel() for each in pictures]
        staged = self._uploads.take(sum(lengths))
        for place, each in zip(torch.split(staged, lengths), pictures, strict=True):
            place.view(each.shape).copy_(each)
        uploaded = torch.split(staged.to(self._device, non_blocking=True), lengths)
        return [place.view(each.shape) for place, each in zip(uploaded, pictures, strict=True)]


class _PageLocked:
    """Memory of the host that a device copies from and to while the host goes on.

    It grows with the largest batch and stays, because to allocate such memory takes milliseconds.
    """

    def __init__(self) -> None:
        self._bytes = torch.empty(0, dtype=torch.uint8)

    def take(self, size: int) -> Tensor:
        """Return so many bytes, always the same ones: who took them before must have done with them."""
        if self._bytes.numel() < size:
            self._bytes = torch.empty(0, dtype=torch.uint8)  # or both would be there for a moment
            self._bytes = torch.empty(2 ** (size - 1).bit_length(), dtype=torch.uint8, pin_memory=True)
        return self._bytes[:size]


def _run(net: TransformNet, pictures: Sequence[Tensor]) -> Tensor:
    """Run a net on uint8 pictures, each `(H, W, 3)`, of one padded size: `(N, H·factor, W·factor, 3)`, padded."""
    batch = torch.cat([pad_to_multiple(_to_float(each), net.multiple) for each in pictures])
    results: Tensor = net(batch)
    return results.mul_(255).round_().byte().permute(0, 2, 3, 1)


def _to_float(pixels: Tensor) -> Tensor:
    """From `(H, W, 3)` to float `(1, 3, H, W)` in [0, 1]."""
    return pixels.permute(2, 0, 1)[None].float().div_(255)
