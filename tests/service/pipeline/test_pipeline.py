import asyncio
import io
import itertools
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from PIL import Image

from model_store.card import Card
from model_store.store import Store
from service.codec import Format
from service.contract.options import StylizeOptions, SuperResolveOptions
from service.contract.problems import BadPicture, Busy, TooLarge, UnknownModel
from service.device.device import capacity_of
from service.inference import bytes_per_pixel, inference_form
from service.pipeline.pipeline import Answer, Pipeline
from service.server.settings import Settings

Publish = Callable[..., Card]


@pytest.fixture
def pipeline(store: Store, publish: Publish) -> Iterator[Pipeline]:
    """With a style `tiny` and a net for ×4, for up to 25,600 pixels."""
    publish("stylize", "tiny")
    publish("super-resolve", "x4-pixel", factor=4)
    pipeline = Pipeline(store, torch.device("cpu"), Settings(max_pixels=25_600))
    yield pipeline
    pipeline.close()


def stylize(pipeline: Pipeline, data: bytes, **asked: object) -> Answer:
    return asyncio.run(pipeline.run(StylizeOptions(style="tiny", **asked), data))


def super_resolve(pipeline: Pipeline, data: bytes, factor: int = 4, **asked: object) -> Answer:
    return asyncio.run(pipeline.run(SuperResolveOptions(factor=factor, **asked), data))


def read(answer: Answer) -> Image.Image:
    image = Image.open(io.BytesIO(answer.content))
    assert answer.media_type == f"image/{image.format.lower()}"
    return image


def png(width: int, height: int, colour: tuple[int, ...] = (10, 200, 90)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB" if len(colour) == 3 else "RGBA", (width, height), colour).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_photo_is_painted_in_its_own_size_and_format(
    pipeline: Pipeline, photo_png: bytes, photo: Image.Image
) -> None:
    answer = stylize(pipeline, photo_png)
    image = read(answer)
    assert (image.size, image.format) == (photo.size, "PNG")
    assert answer.model == "tiny@1"


def test_a_picture_is_enlarged_by_the_factor(pipeline: Pipeline, photo_png: bytes, photo: Image.Image) -> None:
    # An untrained net is near to bicubic.
    enlarged = read(super_resolve(pipeline, photo_png))
    bicubic = photo.resize((4 * photo.width, 4 * photo.height), Image.Resampling.BICUBIC)
    assert enlarged.size == bicubic.size
    assert np.abs(np.asarray(enlarged).astype(float) - np.asarray(bicubic)).mean() < 10


def test_an_enlargement_is_given_the_colours_of_the_upload(
    pipeline: Pipeline, photo_png: bytes, photo: Image.Image
) -> None:
    matched = read(super_resolve(pipeline, photo_png, match_histogram=True))
    assert matched.size == (4 * photo.width, 4 * photo.height)
    wanted, given = (np.quantile(np.asarray(image), np.linspace(0, 1, 65), axis=(0, 1)) for image in (photo, matched))
    assert np.abs(wanted - given).mean() < 1


def test_the_enlargement_of_a_turned_upload_is_turned_by_a_self_ensemble(
    pipeline: Pipeline, photo_png: bytes, photo: Image.Image
) -> None:
    turned = io.BytesIO()
    photo.transpose(Image.Transpose.ROTATE_90).save(turned, "PNG")
    enlarged, of_turned = (
        np.asarray(read(super_resolve(pipeline, data, self_ensemble=True))) for data in (photo_png, turned.getvalue())
    )
    assert np.abs(np.rot90(enlarged).astype(int) - of_turned).max() <= 1
    assert enlarged.tobytes() != np.asarray(read(super_resolve(pipeline, photo_png))).tobytes()


def test_colours_are_matched_beside_alpha(pipeline: Pipeline) -> None:
    matched = read(super_resolve(pipeline, png(20, 24, (10, 200, 90, 77)), match_histogram=True))
    assert matched.getextrema() == ((10, 10), (200, 200), (90, 90), (77, 77))


@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "avif"])
def test_the_answer_has_the_format_asked_for(pipeline: Pipeline, photo_png: bytes, format: Format) -> None:  # noqa: A002
    assert read(stylize(pipeline, photo_png, format=format)).format == format.upper()


def test_the_time_of_every_stage_is_told(pipeline: Pipeline, photo_png: bytes) -> None:
    stages = stylize(pipeline, photo_png).stages
    assert [stage.name for stage in stages] == ["decode", "queue", "net", "encode"]
    assert all(0 <= stage.seconds < 60 for stage in stages)
    assert all(a.started + a.seconds <= b.started for a, b in itertools.pairwise(stages))


def test_alpha_is_kept_beside_the_paint(pipeline: Pipeline) -> None:
    painted = read(stylize(pipeline, png(20, 24, (10, 200, 90, 77))))
    assert painted.mode == "RGBA"
    assert painted.getchannel("A").getextrema() == (77, 77)


def test_alpha_is_enlarged_with_the_picture(pipeline: Pipeline) -> None:
    enlarged = read(super_resolve(pipeline, png(20, 24, (10, 200, 90, 77))))
    assert (enlarged.mode, enlarged.size) == ("RGBA", (80, 96))
    assert enlarged.getchannel("A").getextrema() == (77, 77)


def test_a_transparent_picture_becomes_white_as_jpeg(pipeline: Pipeline) -> None:
    painted = read(stylize(pipeline, png(20, 24, (10, 200, 90, 0)), format="jpeg"))
    assert np.asarray(painted).min() > 250


@pytest.mark.parametrize(("width", "height"), [(15, 40), (40, 15), (1, 1)])
def test_a_picture_too_small_for_the_net_is_refused(pipeline: Pipeline, width: int, height: int) -> None:
    with pytest.raises(BadPicture, match=f"{width}×{height}.*16"):
        stylize(pipeline, png(width, height))


def test_the_smallest_picture_is_taken(pipeline: Pipeline) -> None:
    assert read(stylize(pipeline, png(16, 16))).size == (16, 16)


def test_an_answer_with_too_many_pixels_is_refused(pipeline: Pipeline) -> None:
    assert read(super_resolve(pipeline, png(40, 40), 4)).size == (160, 160)
    with pytest.raises(TooLarge, match="164×160"):
        super_resolve(pipeline, png(41, 40), 4)


def test_an_upload_with_too_many_pixels_is_refused(pipeline: Pipeline) -> None:
    with pytest.raises(TooLarge, match="161×160"):
        stylize(pipeline, png(161, 160))


@pytest.fixture
def small_pipeline(store: Store, publish: Publish, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    """With the same nets, in memory for 10,000 pixels of the style."""
    publish("stylize", "tiny")
    publish("super-resolve", "x4-pixel", factor=4)
    capacity = capacity_of(torch.device("cpu"))
    room = 10_000 * bytes_per_pixel(inference_form(store.open("stylize", "tiny").net))
    monkeypatch.setattr("service.pipeline.pipeline.capacity_of", lambda *_: capacity._replace(net_bytes=room))
    pipeline = Pipeline(store, torch.device("cpu"), Settings())
    yield pipeline
    pipeline.close()


def test_a_picture_that_the_net_would_need_too_much_memory_for_is_refused(small_pipeline: Pipeline) -> None:
    assert read(stylize(small_pipeline, png(100, 100))).size == (100, 100)
    with pytest.raises(TooLarge, match=r"101×100 pixels.*up to 10,000 in all.*smaller by 'size'.*more memory"):
        stylize(small_pipeline, png(101, 100))


def test_memory_is_what_the_net_sees_needs(small_pipeline: Pipeline) -> None:
    assert read(stylize(small_pipeline, png(400, 400), size=100)).size == (100, 100)
    assert read(stylize(small_pipeline, png(400, 400), strength=0)).size == (400, 400)


def test_each_net_needs_its_own_memory(small_pipeline: Pipeline) -> None:
    with pytest.raises(TooLarge, match=r"100×100 pixels.*send a smaller picture, or give"):
        super_resolve(small_pipeline, png(100, 100))


def test_the_pixels_of_upload_and_answer_are_told_before_anything_is_decoded(
    pipeline: Pipeline, photo_png: bytes
) -> None:
    told: list[int] = []

    def refuse(pixels: int) -> None:
        told.append(pixels)
        raise Busy("not now")

    cut_short = photo_png[:-60]
    for options in (StylizeOptions(style="tiny"), StylizeOptions(style="tiny", size=24), SuperResolveOptions(factor=2)):
        with pytest.raises(Busy):
            asyncio.run(pipeline.run(options, cut_short, refuse))
    assert told == [48 * 32 * 2, 48 * 32 + 24 * 16, 48 * 32 * 17]


def test_an_unknown_model_is_refused(pipeline: Pipeline, photo_png: bytes) -> None:
    with pytest.raises(UnknownModel, match="tiny"):
        asyncio.run(pipeline.run(StylizeOptions(style="nope"), photo_png))


def test_closing_ends_the_look_for_new_versions(pipeline: Pipeline) -> None:
    before = set(threading.enumerate())
    assert not pipeline.is_ready
    pipeline.start()
    assert pipeline.is_ready
    (upkeep,) = set(threading.enumerate()) - before
    pipeline.close()
    assert not upkeep.is_alive()


def test_many_at_once_get_each_their_own(pipeline: Pipeline) -> None:
    sizes = [(16 + number % 4, 20) for number in range(12)]

    async def all_at_once() -> list[Answer]:
        calls = [pipeline.run(StylizeOptions(style="tiny"), png(*size)) for size in sizes]
        return await asyncio.gather(*calls)

    assert [read(answer).size for answer in asyncio.run(all_at_once())] == sizes
