"""A net that runs as it is until its fast form can be made after all."""

import logging
import threading
import time
from collections.abc import Callable

import torch
from torch import Tensor

from model_store.nets import TransformNet
from service.device.failures import first_line

_log = logging.getLogger(__name__)

_PAUSE_S = 300.0
"""Seconds between two attempts to make the form, each of which keeps a lane busy for about one second."""


class AwaitedForm(TransformNet):
    """A net that runs as it is until its form can be made, which may fail for a full disk or a compiler that died.

    Args:
        net: Net as it is, on the device.
        make: Function that makes the form, on the device; if it raises an error, the form cannot be made yet.
        pause: Seconds between two attempts.
    """

    def __init__(self, net: TransformNet, make: Callable[[], TransformNet], pause: float = _PAUSE_S) -> None:
        super().__init__()
        self.task, self.factor, self.multiple, self.halo = net.task, net.factor, net.multiple, net.halo
        self.plain = self.net = net  # the plain one stays: another lane may still compute with it
        self._make: Callable[[], TransformNet] | None = make
        self._pause = pause
        self._next_attempt = time.monotonic() + pause
        self._attempting = threading.Lock()
        self.requires_grad_(requires_grad=False).eval()

    def is_large(self, height: int, width: int) -> bool:
        """Tell whether a picture is computed by `compute_in_pieces`, as the net does."""
        return self.net.is_large(height, width)

    def compute_in_pieces(self, pixels: Tensor) -> Tensor:
        """Compute one large picture, as the net does; see `TransformNet.compute_in_pieces`."""
        return self.net.compute_in_pieces(pixels)

    def transform(self, pictures: Tensor) -> Tensor:
        """Map `(N, 3, H, W)` to `(N, 3, H·factor, W·factor)`, as the net does."""
        if self._make is not None and self._attempting.acquire(blocking=False):
            try:
                self._attempt()
            finally:
                self._attempting.release()
        result: Tensor = self.net.transform(pictures)
        return result

    @torch.inference_mode(mode=False)
    def _attempt(self) -> None:
        if self._make is None or time.monotonic() < self._next_attempt:
            return
        self._next_attempt = time.monotonic() + self._pause
        try:
            form = self._make()
        except Exception as error:
            _log.info("the fast form still fails: %s: %s", type(error).__name__, first_line(error))
            return
        _log.warning("the fast form of a net could be made now, and is used from now on")
        self.net, self._make = form, None
