"""Who is told what happens inside the service; `service.server.telemetry.metrics` counts it."""

from model_store.card import Task


class Observer:
    """Is told, and does nothing about it.

    Its methods are called on any thread, between two batches too: they must be quick, and must not raise.
    """

    def request_shed(self, reason: str) -> None:
        """A request was refused for want of room; the reason is one of a few words."""

    def model_loaded(self, task: Task, label: str, seconds: float) -> None:
        """A net came to the device."""

    def models_kept(self, number: int, size: int) -> None:
        """So many nets are on the device now; their size is in bytes."""

    def picture_queued(self) -> None:
        """A picture waits for the device."""

    def picture_dequeued(self, seconds: float) -> None:
        """It waits no more, whether its turn came or it was given up."""

    def batch_computed(self, pictures: int, pixels: int) -> None:
        """A batch of so many pictures came out of the device, with so many pixels in all."""

    def device_lost(self) -> None:
        """The device failed."""
