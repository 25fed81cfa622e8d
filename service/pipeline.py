"""From uploaded bytes to the answer's bytes: codec, engine, codec."""

import asyncio
import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple

import torch

from model_store.card import Task
from model_store.nets import SMALLEST_SIDE
from model_store.store import Store
from service import codec
from service.engine import Engine
from service.models import Models
from service.problems import BadPicture, TooLarge
from service.settings import Settings


class Answer(NamedTuple):
    """A picture to send, and what is told about it."""

    content: bytes
    media_type: str
    model: str
    """Name and version of the net."""
    etag: str
    timing: dict[str, float]
    """Seconds by stage: decode, queue, net, encode."""


class Pipeline:
    """All that happens to a picture, for the server and for the command line.

    Args:
        store: where nets come from.
        settings: of the service.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        device = _choose_device(settings.device)
        self.engine = Engine(device, settings.max_batch, settings.max_batch_pixels)
        self._models = Models(store, device)
        self._max_pixels = settings.max_pixels
        self._threads = ThreadPoolExecutor(settings.codec_threads, thread_name_prefix="codec")

    async def run(
        self, task: Task, label: str, data: bytes, format: codec.Format | Literal["auto"], quality: int  # noqa: A002
    ) -> Answer:  # fmt: skip
        """Decodes, computes and encodes one picture.

        Args:
            task: what to do.
            label: which model, as in `muse` or `muse@3`.
            data: the upload.
            format: of the answer; `auto` keeps the upload's.
            quality: of the answer, 1 to 100.

        Raises:
            Problem: as in `service.problems`.
        """
        loop = asyncio.get_running_loop()
        card, net = await loop.run_in_executor(self._threads, self._models.get, task, label)

        started = time.perf_counter()
        picture = await loop.run_in_executor(self._threads, codec.decode, data, self._max_pixels)
        decoded = time.perf_counter()
        self._check_size(picture, net.factor)

        output = await asyncio.wrap_future(self.engine.submit(net, picture.pixels))

        computed = time.perf_counter()
        alpha = picture.alpha
        if alpha is not None and net.factor > 1:
            alpha = await loop.run_in_executor(self._threads, codec.enlarge_alpha, alpha, net.factor)
        result = codec.Picture(output.pixels, alpha, picture.format if format == "auto" else format)
        content = await loop.run_in_executor(self._threads, codec.encode, result, quality)
        timing = {
            "decode": decoded - started,
            "queue": output.queue_seconds,
            "net": output.net_seconds,
            "encode": time.perf_counter() - computed,
        }
        etag = hashlib.sha256(data + f"{card.sha256} {result.format} {quality}".encode()).hexdigest()[:32]
        return Answer(content, codec.MEDIA_TYPES[result.format], card.label, etag, timing)

    def close(self) -> None:
        """Finishes what is queued and stops the threads."""
        self.engine.close()
        self._threads.shutdown()

    def _check_size(self, picture: codec.Picture, factor: int) -> None:
        height, width, _ = picture.pixels.shape
        if min(height, width) < SMALLEST_SIDE:
            raise BadPicture(f"a picture of {width}×{height} is too small: both sides must be at least {SMALLEST_SIDE}")
        if height * width * factor**2 > self._max_pixels:
            raise TooLarge(
                f"the answer would have {width * factor}×{height * factor} pixels; this server makes up to "
                f"{self._max_pixels / 1e6:.1f} megapixels: send a smaller picture"
            )


def _choose_device(choice: str) -> torch.device:
    if choice == "auto":
        choice = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(choice)
