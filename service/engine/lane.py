"""A lane of a device: computes one batch at a time, beside other lanes.

On CUDA a lane is a stream, so that one lane's pictures are copied while another's are computed. On the CPU it is a
thread: several lanes with a core each make more pictures per second than one after the other on all cores do, and a
single picture is made soonest by all cores.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from model_store.nets import TransformNet, pad_to_multiple


class Lane:
    """Computes on the thread that calls it, which must always be the same.

    Args:
        device: where the nets are.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def use_cores(self, number: int) -> None:
        """How many cores the next batches may use, on a CPU."""
        if self._stream is None and torch.get_num_threads() != number:
            torch.set_num_threads(number)

    @torch.inference_mode()
    def compute(self, net: TransformNet, pictures: Sequence[Tensor]) -> list[Tensor]:
        """Runs a net on pictures of one padded size.

        Args:
            net: on the device.
            pictures: uint8 RGB on the CPU, each `(H, W, 3)`.

        Returns:
            uint8 RGB on the CPU, each `(H·factor, W·factor, 3)`.
        """
        with torch.cuda.stream(self._stream):  # None is no stream
            batch = torch.cat([pad_to_multiple(self._to_device(each), net.multiple) for each in pictures])
            results = self._to_host(net(batch).mul_(255).round_().byte().permute(0, 2, 3, 1))
        sizes = [(each.shape[0] * net.factor, each.shape[1] * net.factor) for each in pictures]
        return [result[:height, :width].contiguous() for result, (height, width) in zip(results, sizes, strict=True)]

    def _to_device(self, pixels: Tensor) -> Tensor:
        """`(H, W, 3)` to float `(1, 3, H, W)` in [0, 1]."""
        if self._stream is not None:
            pixels = pixels.pin_memory().to(self._device, non_blocking=True)
        return pixels.permute(2, 0, 1)[None].float().div_(255)

    def _to_host(self, results: Tensor) -> Tensor:
        if self._stream is None:
            return results
        pinned = torch.empty(results.shape, dtype=results.dtype, pin_memory=True).copy_(results, non_blocking=True)
        self._stream.synchronize()
        return pinned
