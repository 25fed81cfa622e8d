"""From uploaded bytes to the answer's bytes: codec, engine, codec."""

import asyncio
import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import torch
from torch import Tensor

from model_store.card import Task
from model_store.errors import ImpastoError
from model_store.nets import SMALLEST_SIDE, histogram
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
    """Name and version of the net, or of each net of a blend with its share."""
    etag: str
    timing: dict[str, float]
    """Seconds by stage: decode, queue, net, encode."""


class Pipeline:
    """All that happens to a picture, for the server and for the command line.

    Args:
        store: where nets come from.
        device: where they run.
        settings: of the service.
    """

    def __init__(self, store: Store, device: torch.device, settings: Settings) -> None:
        self.engine = Engine(device, settings.max_batch, settings.max_batch_pixels)
        self._models = Models(store, device)
        self._max_pixels = settings.max_pixels
        self._threads = ThreadPoolExecutor(settings.codec_threads, thread_name_prefix="codec")

    async def run(
        self,
        task: Task,
        model: str,
        data: bytes,
        format: codec.RequestedFormat,  # noqa: A002
        quality: int,
        take_pixels: Callable[[int], None] = lambda _: None,
        /,
        *,
        self_ensemble: bool = False,
        match_histogram: bool = False,
    ) -> Answer:
        """Decodes, computes and encodes one picture.

        Args:
            task: what to do.
            model: which, as in `muse` or `muse@3`, or a blend as in `muse:0.7,great-wave:0.3`; see `blends.parse`.
            data: the upload.
            format: of the answer.
            quality: of the answer, 1 to 100.
            take_pixels: called with the pixels of upload and answer before anything is decoded; may raise.
            self_ensemble: whether to take the mean over turned and mirrored uploads, see `SelfEnsemble`.
            match_histogram: whether to give the answer the colours of the upload (Johnson et al. 2016, section 4.2).

        Raises:
            Problem: as in `service.problems`.
        """
        loop = asyncio.get_running_loop()
        loaded = await asyncio.to_thread(self._models.get, task, model)
        net = loaded.self_ensemble if self_ensemble else loaded.net

        started = time.perf_counter()
        # Not on the codec's threads, where it would wait for pictures: who is refused should know at once.
        header = await asyncio.to_thread(codec.read_header, data, self._max_pixels)
        answered_as = header.format if format == "auto" else format
        self._check_size(header, net.factor, answered_as)
        take_pixels(header.width * header.height * (1 + net.factor**2))
        picture = await loop.run_in_executor(self._threads, codec.decode, header)
        decoded = time.perf_counter()

        output = await asyncio.wrap_future(self.engine.submit(net, picture.pixels))

        computed = time.perf_counter()
        result = codec.Picture(output.pixels, picture.alpha, answered_as)
        reference = picture.pixels if match_histogram else None
        content = await loop.run_in_executor(self._threads, _encode, result, net.factor, quality, reference)
        encoded = time.perf_counter()
        options = f"{answered_as} {quality} {self_ensemble} {match_histogram}"
        etag = await loop.run_in_executor(self._threads, _etag, data, loaded.digest, options)
        timing = {
            "decode": decoded - started,
            "queue": output.queue_seconds,
            "net": output.net_seconds,
            "encode": encoded - computed,
        }
        return Answer(content, codec.MEDIA_TYPES[answered_as], loaded.label, etag, timing)

    def close(self) -> None:
        """Finishes what is queued and stops the threads."""
        self.engine.close()
        self._threads.shutdown()

    def _check_size(self, header: codec.Header, factor: int, answered_as: codec.Format) -> None:
        width, height = header.width, header.height
        if min(height, width) < SMALLEST_SIDE:
            raise BadPicture(f"a picture of {width}×{height} is too small: both sides must be at least {SMALLEST_SIDE}")
        if height * width * factor**2 > self._max_pixels:
            raise TooLarge(
                f"the answer would have {width * factor:,}×{height * factor:,} pixels; this server makes up to "
                f"{self._max_pixels:,} in all: send a smaller picture"
            )
        codec.check_room(answered_as, width * factor, height * factor)


def choose_device(choice: str) -> torch.device:
    """The device of a setting; `auto` is CUDA where there is one.

    Raises:
        ImpastoError: CUDA was asked for and is not there.
    """
    if choice == "cuda" and not torch.cuda.is_available():
        raise ImpastoError("IMPASTO_DEVICE is cuda, and torch finds no CUDA device here: unset it to use the CPU")
    return torch.device("cuda" if choice != "cpu" and torch.cuda.is_available() else "cpu")


def _encode(picture: codec.Picture, factor: int, quality: int, reference: Tensor | None) -> bytes:
    """Encodes a result that still has the alpha of the upload, with the colours of the reference if there is one."""
    if reference is not None:
        picture = picture._replace(pixels=_match_histogram(picture.pixels, reference))
    if picture.alpha is not None and factor > 1:
        picture = picture._replace(alpha=codec.enlarge_alpha(picture.alpha, factor))
    return codec.encode(picture, quality)


def _match_histogram(pixels: Tensor, reference: Tensor) -> Tensor:
    """`histogram.match` of uint8 pictures, `(H, W, 3)`."""
    floats, wanted = (each.permute(2, 0, 1)[None] / 255 for each in (pixels, reference))
    return histogram.match(floats, wanted)[0].mul_(255).round_().byte().permute(1, 2, 0).contiguous()


def _etag(data: bytes, weights: str, options: str) -> str:
    """The same for the same upload, net and options."""
    return hashlib.sha256(data + f"{weights} {options}".encode()).hexdigest()[:32]
