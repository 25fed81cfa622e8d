"""Pictures made on this machine."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from model_store.settings import StoreSettings
from service.batch.batch import Outcome, Painter
from service.client.answer import Answer
from service.client.mapping import map_in_tasks
from service.client.options import Format, MapOptions
from service.contract.options import Options, StylizeOptions, SuperResolveOptions
from service.contract.problems import DeviceLost
from service.device.device import capacity_of, choose_device, share_cores
from service.pipeline.pipeline import Pipeline
from service.server.settings import Settings

_MOST_IN_FLIGHT = 64


@asynccontextmanager
async def here(options: MapOptions) -> AsyncIterator[Painter]:
    """A painter that computes by itself, and keeps the device and all cores busy.

    Args:
        options: all but the format.

    Raises:
        Problem: there is no such model, or it cannot be used.
    """
    asked = (StylizeOptions if "style" in options else SuperResolveOptions).model_validate(options)
    settings = Settings(workers=1)
    device = choose_device(settings.device)
    share_cores()
    capacity = capacity_of(device)
    # Twice what the device computes at once, for the next to be ready, and what is decoded and encoded meanwhile.
    concurrency = min(2 * capacity.lanes * capacity.batch + settings.codec_threads, _MOST_IN_FLIGHT)
    pipeline = Pipeline(StoreSettings().open(), device, settings)
    try:
        await asyncio.to_thread(pipeline.models.get, asked.task, asked.model)

        async def paint(pictures: Sequence[Path], format: Format) -> AsyncGenerator[Outcome, None]:  # noqa: A002
            wanted = asked.model_copy(update={"format": format})

            async def attempt(picture: Path) -> Outcome:
                try:
                    return await _make(pipeline, wanted, picture)
                except Exception as error:
                    return error

            async with aclosing(map_in_tasks(attempt, pictures, concurrency)) as outcomes:
                async for outcome in outcomes:
                    if isinstance(outcome, DeviceLost):
                        raise outcome
                    yield outcome

        yield paint
    finally:
        pipeline.close()


async def _make(pipeline: Pipeline, options: Options, picture: Path) -> Answer:
    data = await asyncio.to_thread(picture.read_bytes)
    made = await pipeline.run(options, data)
    timing = {stage.name: 1000 * stage.seconds for stage in made.stages}
    return Answer(made.content, made.media_type, made.model, "", timing, made.frames)
