"""The interface by which the service reports events; `service.server.telemetry.metrics` counts them."""

from model_store.card import Task


class Observer:
    """A receiver of events that ignores all of them; a subclass overrides the methods that it needs.

    The methods are called on any thread, also between two batches: they must be quick and must not raise.
    """

    def request_shed(self, reason: str) -> None:
        """Note that a request was refused for lack of room; the reason is one of a few fixed words."""

    def model_loaded(self, task: Task, label: str, seconds: float) -> None:
        """Note that a net was loaded onto the device, which took so many seconds."""

    def models_kept(self, number: int, size: int) -> None:
        """Note how many nets are on the device now, and the size of all of them in bytes."""

    def picture_queued(self) -> None:
        """Note that a picture began to wait for the device."""

    def picture_dequeued(self, seconds: float) -> None:
        """Note that a picture stopped waiting after so many seconds, because its turn came or it was given up."""

    def batch_computed(self, pictures: int, pixels: int) -> None:
        """Note that the device computed a batch of so many pictures, with so many output pixels in all."""

    def device_lost(self) -> None:
        """Note that the device failed and cannot be used again."""
