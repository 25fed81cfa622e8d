"""From uploaded bytes to the answer's bytes: codec, engine, codec."""

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import NamedTuple, TypeVar, TypeVarTuple

import torch
from torch import Tensor

from model_store.card import Task
from model_store.nets import SMALLEST_SIDE, histogram
from model_store.store import Store
from service import codec
from service.device import capacity_of
from service.engine import Engine
from service.inference import inference_form
from service.models import Models
from service.observer import Observer
from service.problems import BadPicture, TooLarge
from service.settings import Settings
from service.upkeep import Upkeep

_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")


class Stage(NamedTuple):
    """A part of the work on a picture."""

    name: str
    """decode, queue, net or encode."""
    started: float
    """By `time.perf_counter`."""
    seconds: float


class Answer(NamedTuple):
    """A picture to send, and what is told about it."""

    content: bytes
    media_type: str
    model: str
    """Name and version of the net, or of each net of a blend with its share."""
    etag: str
    width: int
    """Of the upload, upright."""
    height: int
    factor: int
    """Of enlargement."""
    batch: int
    """Pictures computed together."""
    stages: tuple[Stage, ...]
    """In the order of the work."""


class Pipeline:
    """All that happens to a picture, for the server and for the command line.

    Args:
        store: where nets come from.
        device: where they run.
        settings: of the service.
        observer: is told what happens.
    """

    def __init__(
        self, store: Store, device: torch.device, settings: Settings, observer: Observer | None = None
    ) -> None:
        capacity = capacity_of(device)
        self.models = Models(
            store,
            device,
            settings.model_memory_bytes or capacity.model_bytes,
            prepare=partial(inference_form, is_exact=settings.precision == "float32"),
            observer=observer,
        )
        self.engine = Engine(
            device,
            settings.max_batch or capacity.batch,
            settings.max_batch_pixels or capacity.batch_pixels,
            lanes=capacity.lanes,
            relieve=self.models.shrink,
            observer=observer,
        )
        self._upkeep: Upkeep | None = None
        self._store_refresh_s = settings.store_refresh_s
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
        loaded = await asyncio.to_thread(self.models.get, task, model)
        net = loaded.self_ensemble if self_ensemble else loaded.net

        started = time.perf_counter()
        # Not on the codec's threads, where it would wait for pictures: who is refused should know at once.
        header = await asyncio.to_thread(codec.read_header, data, self._max_pixels)
        answered_as = header.format if format == "auto" else format
        self._check_size(header, net.factor, answered_as)
        take_pixels(header.width * header.height * (1 + net.factor**2))
        picture = await self._in_thread(codec.decode, header)
        decoded = time.perf_counter()

        output = await asyncio.wrap_future(self.engine.submit(net, picture.pixels))

        computed = time.perf_counter()
        result = codec.Picture(output.pixels, picture.alpha, answered_as)
        reference = picture.pixels if match_histogram else None
        content = await self._in_thread(_encode, result, net.factor, quality, reference)
        encoded = time.perf_counter()
        options = f"{answered_as} {quality} {self_ensemble} {match_histogram}"
        etag = await self._in_thread(_etag, data, loaded.digest, options)
        stages = (
            Stage("decode", started, decoded - started),
            Stage("queue", decoded, output.queue_seconds),
            Stage("net", decoded + output.queue_seconds, output.net_seconds),
            Stage("encode", computed, encoded - computed),
        )
        media_type = codec.MEDIA_TYPES[answered_as]
        height, width, _ = picture.pixels.shape
        return Answer(content, media_type, loaded.label, etag, width, height, net.factor, output.batch, stages)

    def start(self, preload: Sequence[tuple[Task, str]] = ()) -> None:
        """Begins to load models ahead of requests, and to look for new versions of those in use; for servers.

        Args:
            preload: tasks and labels of what to load before `is_ready`.
        """
        self._upkeep = Upkeep(self.models, preload, self._store_refresh_s)

    @property
    def is_ready(self) -> bool:
        """Whether it was started, and all that was to be preloaded has been."""
        return self._upkeep is not None and self._upkeep.is_ready

    def close(self) -> None:
        """Finishes what is queued and stops the threads."""
        if self._upkeep is not None:
            self._upkeep.close()
        self.engine.close()
        self._threads.shutdown()

    async def _in_thread(self, work: Callable[[*_Arguments], _Result], *args: *_Arguments) -> _Result:
        """Runs it on a thread of the codec, in the context of the request."""
        context = copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: context.run(work, *args))

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
