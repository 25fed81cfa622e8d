"""The pipeline of one picture: inspect its header, have the caller admit its plan, and make it."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import TypeVar, TypeVarTuple

import torch
from torch import Tensor

from service import codec
from service.codec import alpha
from service.contract.options import Options, StylizeOptions
from service.contract.problems import Unavailable
from service.device.failures import is_out_of_memory
from service.engine.engine import Engine
from service.engine.queue import Output
from service.inference import pieces
from service.models.loaded import Loaded, Models
from service.pipeline import retouching
from service.pipeline.answer import Answer, Stage
from service.pipeline.plan import Plan, check_format, check_shape
from service.pipeline.transformation import Transformation, check_memory, check_size, transformation_of

_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")

_log = logging.getLogger(__name__)
_SMALL = 1_000_000
"""Number of pixels below which a picture is made without asking how long that takes."""
_TRIED = (128, 128)
"""Height and width in pixels of the pictures on which a net's pace is tried."""
_TRIALS = 2
"""Number of such pictures; the first is slow, as it prepares others."""


class Pipeline:
    """The steps that make the bytes of an answer from the bytes of an upload.

    Args:
        models: Nets that options name.
        engine: Engine that computes the nets.
        codec_threads: Number of threads that decode and encode.
        max_upload_pixels: Largest number of pixels of an upload.
        max_pixels: Largest number of pixels of an answer.
        net_bytes: Bytes of memory that nets may compute in; None for no limit.
    """

    def __init__(
        self,
        models: Models,
        engine: Engine,
        codec_threads: int,
        max_upload_pixels: int,
        max_pixels: int,
        net_bytes: int | None = None,
    ) -> None:
        self._models = models
        self._engine = engine
        self._max_upload_pixels = max_upload_pixels
        self._max_pixels = max_pixels
        self._net_bytes = net_bytes
        self._threads = ThreadPoolExecutor(codec_threads, thread_name_prefix="codec")

    async def check(self, options: Options) -> None:
        """Check that there is a net for the options, as far as they name it without a picture, and load it.

        Raises:
            Problem: The net cannot be used, whatever the picture; see `Models.get`.
        """
        if not options.depends_on_picture:
            await self._models.resolve(options)

    async def inspect(self, upload: bytes, options: Options) -> Plan:
        """Read the header of an upload, and decide what is to be made of it and what that costs.

        Args:
            upload: Bytes of a picture, in one of the formats that the codec reads.
            options: Options of the picture.

        Raises:
            Problem: The upload is no picture, its net cannot be used, or the picture cannot be made; see
                `service.contract.problems`.
        """
        model = None if options.depends_on_picture else await self._models.resolve(options)
        started = time.perf_counter()
        # Not on the codec's threads, where it would wait for other pictures: a refusal should come at once.
        with _out_of_memory_explained():
            header = await asyncio.to_thread(codec.read_header, upload, self._max_upload_pixels)
        inspect_seconds = time.perf_counter() - started
        check_shape(header)
        transformation = await self.transformation(header.width, header.height, options, model)
        plan = Plan(
            header,
            transformation,
            header.format if options.format == "auto" else options.format,
            inspect_seconds,
        )
        check_format(plan)
        return plan._replace(net_seconds=await self._net_seconds(transformation))

    async def transformation(
        self, width: int, height: int, options: Options, model: Loaded | None = None
    ) -> Transformation:
        """Return what the options make of pixels of a size.

        Args:
            width: Width in pixels.
            height: Height in pixels.
            options: Options of the picture or film.
            model: The net that the options name, if it is known already.

        Raises:
            Problem: The net cannot be used, or pixels of this size cannot be made; see `service.contract.problems`.
        """
        options = options.for_picture(width, height)
        transformation = transformation_of(width, height, options, model or await self._models.resolve(options))
        check_size(transformation, self._max_pixels)
        if transformation.needs_net and self._net_bytes is not None:
            check_memory(transformation, self._net_bytes)
        return transformation

    async def make_pixels(self, transformation: Transformation, pixels: Tensor) -> Tensor:
        """Compute a frame of a film: pixels in, pixels out.

        Args:
            transformation: What is made.
            pixels: Pixels as uint8 sRGB, `(H, W, 3)`, which are resized to the size that is transformed.

        Raises:
            Problem: The pixels could not be computed; see `service.contract.problems`.
        """
        size = transformation.width, transformation.height
        resized = await self._in_thread(retouching.resize, pixels, size)
        seen = await self._in_thread(transformation.prepare, resized)
        output = await self._compute(transformation, seen)
        return await self._in_thread(transformation.finish, output.pixels, resized)

    async def make(self, plan: Plan) -> Answer:
        """Decode, compute and encode one picture.

        Args:
            plan: Plan that `inspect` returned; it can be made only once.

        Raises:
            Problem: The picture is broken, or it could not be computed; see `service.contract.problems`.
        """
        started = time.perf_counter()
        photo, seen = await self._in_thread(_decode, plan)
        decoded = time.perf_counter()

        output = await self._compute(plan.transformation, seen)
        computed = time.perf_counter()
        content = await self._in_thread(_encode, output.pixels, photo, plan)
        encoded = time.perf_counter()
        stages = (
            Stage("decode", started - plan.inspect_seconds, decoded - started + plan.inspect_seconds),
            Stage("queue", decoded, output.queue_seconds),
            Stage("net", decoded + output.queue_seconds, output.net_seconds),
            Stage("encode", computed, encoded - computed),
        )
        height, width, _ = photo.pixels.shape
        return Answer(
            content,
            codec.MEDIA_TYPES[plan.format],
            plan.transformation.model,
            width,
            height,
            plan.transformation.factor,
            plan.header.frames,
            plan.header.is_truncated,
            output.batch,
            stages,
        )

    async def _compute(self, transformation: Transformation, seen: Tensor) -> Output:
        if not transformation.needs_net:
            return Output(seen, 0.0, 0.0, 0)
        if transformation.enlarger is None:
            return await asyncio.wrap_future(self._engine.submit(transformation.net, seen))
        painting, enlarging = (
            self._engine.pace.seconds(net, seen.shape[0] * seen.shape[1]) for net in transformation.nets
        )
        share = 0.0 if painting is None or enlarging is None else painting / (painting + enlarging)
        with pieces.as_part(0, share):
            output = await asyncio.wrap_future(self._engine.submit(transformation.net, seen))
        with pieces.as_part(share, 1):
            enlarged = await asyncio.wrap_future(self._engine.submit(transformation.enlarger, output.pixels))
        return Output(
            enlarged.pixels,
            output.queue_seconds + enlarged.queue_seconds,
            output.net_seconds + enlarged.net_seconds,
            output.batch,
        )

    async def _net_seconds(self, transformation: Transformation) -> float | None:
        """Return the least seconds that the nets take, or None for a small picture, which is made without knowing.

        A net that has computed nothing yet is tried on small pictures.
        """
        width, height = transformation.seen
        if not transformation.needs_net or width * height < _SMALL:
            return None
        total = 0.0
        for net in transformation.nets:
            if self._engine.pace.seconds(net, width * height) is None:
                for _ in range(_TRIALS):
                    await asyncio.wrap_future(self._engine.submit(net, torch.zeros(*_TRIED, 3, dtype=torch.uint8)))
            total += self._engine.pace.seconds(net, width * height) or 0.0
        return total

    def close(self) -> None:
        """Stop the codec's threads once they have finished what they began."""
        self._threads.shutdown()

    async def _in_thread(self, work: Callable[[*_Arguments], _Result], *args: *_Arguments) -> _Result:
        """Run the work on a thread of the codec, in the context of the request."""
        context = copy_context()
        with _out_of_memory_explained():
            return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: context.run(work, *args))


@contextmanager
def _out_of_memory_explained() -> Iterator[None]:
    """Turn an error that says that memory ran out into a problem that says when to try again.

    Raises:
        Unavailable: Memory ran out in the block of the `with` statement.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        _log.error("there was not enough memory for a picture: %s", error)
        raise Unavailable("there is not enough memory for this picture now: try later or smaller", 10) from None


def _decode(plan: Plan) -> tuple[codec.DecodedPicture, Tensor]:
    """Return the decoded upload, and the pixels that the net sees."""
    made = plan.transformation
    photo = codec.decode(
        plan.header,
        (made.width, made.height),
        keep_metadata=made.options.keep_metadata,
        enlargement=made.factor,
    )
    visible = photo.pixels if photo.alpha is None else alpha.as_seen(photo.pixels, photo.alpha)
    return photo, made.prepare(visible, photo.profile)


def _encode(output: Tensor, photo: codec.DecodedPicture, plan: Plan) -> bytes:
    """Return the bytes of the answer, made from the output of the net."""
    made = plan.transformation
    pixels = made.finish(output, photo.pixels, photo.profile)
    mask = photo.alpha
    if mask is not None and not isinstance(made.options, StylizeOptions):
        mask = alpha.enlarge(mask, made.factor)
    return codec.encode(photo._replace(pixels=pixels, alpha=mask, format=plan.format), made.options.quality)
