"""The making of a film on this machine."""

import asyncio
import time
from fractions import Fraction

import torch

from model_store.errors import ImpastoError
from service.batch.batch import FilmObserver, MadeFilm
from service.batch.work_list import PictureJob
from service.contract.options import Options
from service.pipeline.runtime import Runtime
from service.video.calm import Calm
from service.video.colours import Pixels
from service.video.conversion import Conversion, Settler, in_thread
from service.video.encoding import FilmOptions, choose_encoding
from service.video.partial import Partial, go_on_with, last_painting, made_with, publish
from service.video.source import FilmSource
from service.video.target import FilmTarget

_MOST_IN_FLIGHT = 64
"""Largest number of frames that are painted at the same time."""
_BYTES_IN_FLIGHT = 500_000_000
"""Bytes that the frames that are painted may have in memory, about; one frame always may."""
_BYTES_PER_PIXEL = 6
"""Bytes of a pixel, of a frame and of what is made of it."""
_NOT_OF_THE_PIXELS = {"format", "quality", "keep_metadata"}
"""Options that change no pixel of a film."""


async def make_film(
    runtime: Runtime, asked: Options, film_options: FilmOptions, job: PictureJob, observer: FilmObserver
) -> MadeFilm:
    """Make a film and write it.

    Until it is whole it is written beside the output, as `NAME.partial.mp4`, which can be played as far as it goes.

    Args:
        runtime: Runtime of the device that computes.
        asked: Options of the frames.
        film_options: Options of the film.
        job: Film to make.
        observer: Receiver of events.

    Raises:
        ImpastoError: There is an unfinished film, and the options do not say what becomes of it.
        BadFilm: The film is broken.
        Problem: The film cannot be made.
        OSError: A file cannot be read or written.
    """
    started = time.perf_counter()
    encoding = choose_encoding(job.output, film_options.codec, film_options.crf)
    partial = Partial(job.output)
    if film_options.overwrite and not film_options.resume:
        partial.remove()
    elif partial.exists() and not film_options.resume:
        raise ImpastoError(
            f"{partial.path} was left by a run that did not finish: --resume goes on with it, --overwrite begins anew"
        )
    with await asyncio.to_thread(FilmSource, job.picture) as source:
        made = await runtime.pipeline.transformation(source.width, source.height, asked)

        async def paint(pixels: Pixels) -> Pixels:
            result: Pixels = (await runtime.pipeline.make_pixels(made, torch.from_numpy(pixels))).numpy()
            return result

        painter = f"{asked.model_dump_json(exclude=_NOT_OF_THE_PIXELS)} {made.digest} {film_options.temporal}"
        identity = await asyncio.to_thread(made_with, job.picture, encoding, painter)
        earlier = await asyncio.to_thread(go_on_with, partial, identity)
        settle = None
        if film_options.temporal and made.needs_net:
            painting = await asyncio.to_thread(last_painting, partial, earlier)
            settle = _settler(film_options.temporal, source, painting)
        target = FilmTarget(partial.path, source, encoding, identity, partial.earlier if earlier.frames else None)
        frames = earlier.frames

        def count(_time: Fraction) -> None:
            nonlocal frames
            frames += 1
            observer.filmed(job, frames, source.frames)

        at_once = runtime.capacity.lanes * runtime.capacity.batch
        bytes_of_frame = _BYTES_PER_PIXEL * made.width * made.height * made.factor**2
        window = max(1, min(2 * at_once, _MOST_IN_FLIGHT, round(_BYTES_IN_FLIGHT / bytes_of_frame)))
        conversion = Conversion(source, target, paint, window, count, settle)
        try:
            await conversion.run(earlier.until)
            await in_thread(publish, partial, source, encoding, asked.keep_metadata)
        except BaseException:
            if partial.path.exists():
                observer.unfinished(job, partial.path)
            raise
        notes = (*source.notes, *target.notes)
    return MadeFilm(made.model, frames, frames - earlier.frames, time.perf_counter() - started, notes)


def _settler(share: float, source: FilmSource, painting: Pixels | None) -> Settler:
    """Return a settler that goes on from the last painting of an earlier run, if there is one."""
    calm = Calm(share)

    def settle(frame: Pixels, painted: Pixels) -> Pixels:
        nonlocal painting
        if painting is not None and source.left_out is not None:
            calm.go_on_from(source.left_out, painting)
        painting = None
        return calm.settle(frame, painted)

    return settle
