"""From uploaded bytes to the answer's bytes: codec, engine, codec."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import NamedTuple, TypeVar, TypeVarTuple

import torch
from torch import Tensor

from model_store.card import Task
from model_store.nets import SMALLEST_SIDE, TransformNet
from model_store.store import Store
from service import codec
from service.codec import alpha, colour
from service.contract.observer import Observer
from service.contract.options import Options, StylizeOptions
from service.contract.problems import BadPicture, TooLarge
from service.device.allocator import give_back_large_blocks
from service.device.device import capacity_of
from service.engine.engine import Engine
from service.engine.queue import Output
from service.inference import bytes_per_pixel, inference_form
from service.models.loaded import Loaded, Models
from service.models.upkeep import Upkeep
from service.pipeline import retouching
from service.server.settings import Settings

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
    width: int
    """Of what was painted or enlarged: the upload, upright, and resized where that was asked for."""
    height: int
    factor: int
    """Of enlargement."""
    frames: int
    """Of the upload, of which the first was used; 1 if it is no animation."""
    batch: int
    """Pictures computed together; 0 where there was nothing to compute."""
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
        capacity = capacity_of(device, settings.workers)
        if device.type == "cpu":
            give_back_large_blocks()
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
            max_bytes=capacity.net_bytes,
            relieve=self.models.shrink,
            observer=observer,
        )
        self._upkeep: Upkeep | None = None
        self._store_refresh_s = settings.store_refresh_s
        self._max_pixels = settings.max_pixels
        self._net_bytes = capacity.net_bytes
        self.max_pixels_in_flight = settings.max_pixels_in_flight or capacity.pixels_in_flight
        self._threads = ThreadPoolExecutor(settings.codec_threads, thread_name_prefix="codec")

    async def resolve(self, options: Options) -> Loaded:
        """The net that is asked for, as it stands now; see `Models.get`."""
        return await asyncio.to_thread(self.models.get, options.task, options.model)

    async def run(
        self,
        options: Options,
        data: bytes,
        take_pixels: Callable[[int], None] = lambda _: None,
        loaded: Loaded | None = None,
    ) -> Answer:
        """Decodes, computes and encodes one picture.

        Args:
            options: what to do.
            data: the upload.
            take_pixels: called with the pixels of the upload and of what is computed, before anything is decoded; may
                raise.
            loaded: what `resolve` made of the options, if it was asked already.

        Raises:
            Problem: as in `service.contract.problems`.
        """
        loaded = loaded or await self.resolve(options)

        started = time.perf_counter()
        # Not on the codec's threads, where it would wait for pictures: who is refused should know at once.
        header = await asyncio.to_thread(codec.read_header, data, self._max_pixels)
        plan = _plan(header, options, loaded)
        is_computed = not (isinstance(options, StylizeOptions) and options.strength == 0)
        self._check_size(plan)
        if is_computed:
            self._check_memory(plan)
        take_pixels(header.width * header.height + plan.width * plan.height * plan.net.factor**2)
        photo, seen = await self._in_thread(_decode, header, plan, options)
        decoded = time.perf_counter()

        if is_computed:
            output = await asyncio.wrap_future(self.engine.submit(plan.net, seen))
        else:
            output = Output(seen, 0.0, 0.0, 0)

        computed = time.perf_counter()
        content = await self._in_thread(_encode, output.pixels, photo, plan, options)
        encoded = time.perf_counter()
        stages = (
            Stage("decode", started, decoded - started),
            Stage("queue", decoded, output.queue_seconds),
            Stage("net", decoded + output.queue_seconds, output.net_seconds),
            Stage("encode", computed, encoded - computed),
        )
        height, width, _ = photo.pixels.shape
        return Answer(
            content,
            codec.MEDIA_TYPES[plan.format],
            loaded.label,
            width,
            height,
            plan.factor,
            header.frames,
            output.batch,
            stages,
        )

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

    def _check_size(self, plan: "_Plan") -> None:
        width, height = plan.width, plan.height
        if min(height, width) < SMALLEST_SIDE:
            raise BadPicture(f"a picture of {width}×{height} is too small: both sides must be at least {SMALLEST_SIDE}")
        if height * width * plan.net.factor**2 > self._max_pixels:
            raise TooLarge(
                f"{width * plan.net.factor:,}×{height * plan.net.factor:,} pixels would be computed; this server makes "
                f"up to {self._max_pixels:,} in all: send a smaller picture, or ask for a smaller answer"
            )
        codec.check_room(plan.format, width * plan.factor, height * plan.factor)

    def _check_memory(self, plan: "_Plan") -> None:
        if self._net_bytes is None:
            return
        most = self._net_bytes // bytes_per_pixel(plan.net)
        if plan.width * plan.height > most:
            shrunk = ", or have it painted smaller by 'size'" if plan.net.task == "stylize" else ""
            raise TooLarge(
                f"{plan.width:,}×{plan.height:,} pixels would need more memory than this server has; with this model "
                f"it takes up to {most:,} in all: send a smaller picture{shrunk}, or give the server more memory"
            )


class _Plan(NamedTuple):
    """What is to become of an upload."""

    width: int
    """Of what the net sees, as stored: EXIF may exchange it with the height."""
    height: int
    net: TransformNet
    factor: int
    """Of enlargement, of the answer; the net's may be a multiple."""
    format: codec.Format


def _plan(header: codec.Header, options: Options, loaded: Loaded) -> _Plan:
    answered_as = header.format if options.format == "auto" else options.format
    if isinstance(options, StylizeOptions):
        return _Plan(*options.resized(header.width, header.height), loaded.net, 1, answered_as)
    net = loaded.self_ensemble if options.self_ensemble else loaded.net
    return _Plan(header.width, header.height, net, options.factor, answered_as)


def _decode(header: codec.Header, plan: _Plan, options: Options) -> tuple[codec.Picture, Tensor]:
    """The upload, and the pixels that the net is to see.

    Styles are made for sRGB. Enlarging is done in the colours of the upload, so that none of them is lost.
    """
    photo = codec.decode(header, (plan.width, plan.height), keep_metadata=options.keep_metadata)
    seen = photo.pixels if photo.alpha is None else alpha.as_seen(photo.pixels, photo.alpha)
    return photo, colour.to_srgb(seen, photo.profile) if isinstance(options, StylizeOptions) else seen


def _encode(output: Tensor, photo: codec.Picture, plan: _Plan, options: Options) -> bytes:
    """The answer's bytes, of the output of the net."""
    mask = photo.alpha
    if isinstance(options, StylizeOptions):
        painting = colour.from_srgb(output, photo.profile)
        pixels = retouching.mix(painting, photo.pixels, options.strength, preserve_color=options.preserve_color)
    else:
        pixels = retouching.finish(output, plan.factor, photo.pixels, match_histogram=options.match_histogram)
        mask = None if mask is None else alpha.enlarge(mask, plan.factor)
    return codec.encode(photo._replace(pixels=pixels, alpha=mask, format=plan.format), options.quality)
