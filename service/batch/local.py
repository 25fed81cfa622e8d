"""Painters that make pictures and films on this machine."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path

from model_store.errors import ImpastoError
from model_store.settings import StoreSettings
from service.batch.batch import FilmObserver, MadeFilm, OnProgress, Outcome, Painters
from service.batch.work_list import PictureJob
from service.client.answer import Answer
from service.client.mapping import map_in_tasks
from service.client.options import MapOptions
from service.contract.options import Options, RequestedFormat, StylizeOptions, SuperResolveOptions
from service.contract.problems import DeviceLost
from service.device.device import choose_device, share_cores
from service.inference import pieces
from service.pipeline.runtime import Runtime
from service.pipeline.settings import ComputeSettings
from service.video.encoding import FilmOptions

_MOST_IN_FLIGHT = 64
"""The largest number of pictures in memory at the same time, each decoded."""


_MOST_PIXELS = 2**31
"""The largest number of pixels of a picture, which memory limits before."""


@asynccontextmanager
async def local_painter(
    options: MapOptions, film_options: FilmOptions, on_progress: OnProgress
) -> AsyncIterator[Painters]:
    """Provide painters that compute on this machine and keep the device and all cores busy.

    Args:
        options: The options of the pictures and films, except for the format.
        film_options: The options of films alone.
        on_progress: The function that is told of large pictures.

    Raises:
        Problem: There is no such model, or it cannot be used.
    """
    asked = (StylizeOptions if "style" in options else SuperResolveOptions).model_validate(options)
    # A server guards itself against what strangers send; here, people take what pictures they have.
    settings = ComputeSettings().model_copy(update={"max_upload_pixels": _MOST_PIXELS, "max_pixels": _MOST_PIXELS})
    device = choose_device(settings.device)
    share_cores()
    runtime = Runtime(StoreSettings().open(), device, settings)
    # The device needs the next pictures ready while it computes, and the codec's threads work on others meanwhile.
    computed_at_once = runtime.capacity.lanes * runtime.capacity.batch
    concurrency = min(2 * computed_at_once + settings.codec_threads, _MOST_IN_FLIGHT)
    is_interrupted = False
    try:
        await runtime.pipeline.check(asked)

        async def paint(pictures: Sequence[Path], format: RequestedFormat) -> AsyncGenerator[Outcome, None]:  # noqa: A002
            wanted = asked.model_copy(update={"format": format})

            async def attempt(picture: Path) -> Outcome:
                try:
                    with pieces.told_to(partial(on_progress, picture)):
                        return await _make(runtime, wanted, picture)
                except Exception as error:
                    return error

            async with aclosing(map_in_tasks(attempt, pictures, concurrency)) as outcomes:
                async for outcome in outcomes:
                    if isinstance(outcome, DeviceLost):
                        raise outcome
                    yield outcome

        async def film(job: PictureJob, observer: FilmObserver) -> MadeFilm | Exception:
            try:
                from service.batch.films import make_film  # noqa: PLC0415  (pictures are made without PyAV)
            except ModuleNotFoundError as error:
                return ImpastoError(f"films need {error.name}: install it with: pip install 'impasto[video]'")
            try:
                return await make_film(runtime, asked, film_options, job, observer)
            except DeviceLost:
                raise
            except Exception as error:
                return error

        yield Painters(paint, film)
    except asyncio.CancelledError:
        is_interrupted = True
        raise
    finally:
        if not is_interrupted:  # otherwise it would wait for the tile that is being computed
            runtime.close()


async def _make(runtime: Runtime, options: Options, picture: Path) -> Answer:
    upload = await asyncio.to_thread(picture.read_bytes)
    plan = await runtime.pipeline.inspect(upload, options)
    made = await runtime.pipeline.make(plan)
    timing = {stage.name: 1000 * stage.seconds for stage in made.stages}
    return Answer(made.content, made.media_type, made.model, "", timing, made.frames, made.is_truncated)
