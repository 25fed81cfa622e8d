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
"""Seconds between two attempts to make the form, each of which keeps a lane for about one."""


class AwaitedForm(TransformNet):
    """Does what a net does, and by its form as soon as that can be made, as after a full disk or a compiler that died.

    Args:
        net: As it is.
        make: Makes the form, on the device; what it raises means that the form cannot be made yet.
        pause: Seconds between two attempts.
    """

    def __init__(self, net: TransformNet, make: Callable[[], TransformNet], pause: float = _PAUSE_S) -> None:
        super().__init__()
        self.task, self.factor, self.multiple = net.task, net.factor, net.multiple
        self.plain = self.net = net  # the plain one stays: another lane may still compute with it
        self._make: Callable[[], TransformNet] | None = make
        self._pause = pause
        self._next_attempt = time.monotonic() + pause
        self._attempting = threading.Lock()
        self.requires_grad_(requires_grad=False).eval()

    def transform(self, pictures: Tensor) -> Tensor:
        """Return what the net makes."""
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
