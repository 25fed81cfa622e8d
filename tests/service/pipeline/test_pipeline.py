import asyncio
import io
import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image

from model_store.store import Store
from service.contract.options import Format, Options, StylizeOptions, SuperResolveOptions
from service.contract.problems import BadPicture, TooLarge, UnknownModel
from service.device.device import capacity_of
from service.inference import inference_form
from service.pipeline.answer import Answer
from service.pipeline.runtime import Runtime
from service.pipeline.settings import ComputeSettings

from ...picture_files import encoded
from ..stores import Publish
from .making import inspect, make


def stylize(runtime: Runtime, data: bytes, **asked: object) -> Answer:
    return asyncio.run(make(runtime, StylizeOptions(style="tiny", **asked), data))


def super_resolve(runtime: Runtime, data: bytes, factor: int = 4, **asked: object) -> Answer:
    return asyncio.run(make(runtime, SuperResolveOptions(factor=factor, **asked), data))


def read(answer: Answer) -> Image.Image:
    image = Image.open(io.BytesIO(answer.content))
    assert answer.media_type == f"image/{image.format.lower()}"
    return image


def png(width: int, height: int, colour: tuple[int, ...] = (10, 200, 90)) -> bytes:
    return encoded(Image.new("RGB" if len(colour) == 3 else "RGBA", (width, height), colour))


def test_a_photo_is_painted_in_its_own_size_and_format(runtime: Runtime, photo_png: bytes, photo: Image.Image) -> None:
    answer = stylize(runtime, photo_png)
    image = read(answer)
    assert (image.size, image.format) == (photo.size, "PNG")
    assert answer.model == "tiny@1"


def test_a_picture_is_enlarged_by_the_factor(runtime: Runtime, photo_png: bytes, photo: Image.Image) -> None:
    # An untrained net is near to bicubic.
    enlarged = read(super_resolve(runtime, photo_png))
    bicubic = photo.resize((4 * photo.width, 4 * photo.height), Image.Resampling.BICUBIC)
    assert enlarged.size == bicubic.size
    assert np.abs(np.asarray(enlarged).astype(float) - np.asarray(bicubic)).mean() < 10


def test_an_enlargement_is_given_the_colours_of_the_upload(
    runtime: Runtime, photo_png: bytes, photo: Image.Image
) -> None:
    matched = read(super_resolve(runtime, photo_png, match_histogram=True))
    assert matched.size == (4 * photo.width, 4 * photo.height)
    wanted, given = (np.quantile(np.asarray(image), np.linspace(0, 1, 65), axis=(0, 1)) for image in (photo, matched))
    assert np.abs(wanted - given).mean() < 1


def test_a_self_ensemble_of_a_turned_upload_is_the_turned_enlargement(
    runtime: Runtime, photo_png: bytes, photo: Image.Image
) -> None:
    turned = io.BytesIO()
    photo.transpose(Image.Transpose.ROTATE_90).save(turned, "PNG")
    enlarged, of_turned = (
        np.asarray(read(super_resolve(runtime, data, self_ensemble=True))) for data in (photo_png, turned.getvalue())
    )
    assert np.abs(np.rot90(enlarged).astype(int) - of_turned).max() <= 1
    assert enlarged.tobytes() != np.asarray(read(super_resolve(runtime, photo_png))).tobytes()


def test_matching_colours_keeps_alpha(runtime: Runtime) -> None:
    matched = read(super_resolve(runtime, png(20, 24, (10, 200, 90, 77)), match_histogram=True))
    assert matched.getextrema() == ((10, 10), (200, 200), (90, 90), (77, 77))


@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "avif"])
def test_the_answer_has_the_format_asked_for(runtime: Runtime, photo_png: bytes, format: Format) -> None:  # noqa: A002
    assert read(stylize(runtime, photo_png, format=format)).format == format.upper()


def test_an_answer_has_the_time_of_every_stage(runtime: Runtime, photo_png: bytes) -> None:
    stages = stylize(runtime, photo_png).stages
    assert [stage.name for stage in stages] == ["decode", "queue", "net", "encode"]
    assert all(0 <= stage.seconds < 60 for stage in stages)
    assert all(a.started + a.seconds <= b.started for a, b in itertools.pairwise(stages))


def test_a_painting_keeps_the_alpha_of_the_photo(runtime: Runtime) -> None:
    painted = read(stylize(runtime, png(20, 24, (10, 200, 90, 77))))
    assert painted.mode == "RGBA"
    assert painted.getchannel("A").getextrema() == (77, 77)


def test_alpha_is_enlarged_with_the_picture(runtime: Runtime) -> None:
    enlarged = read(super_resolve(runtime, png(20, 24, (10, 200, 90, 77))))
    assert (enlarged.mode, enlarged.size) == ("RGBA", (80, 96))
    assert enlarged.getchannel("A").getextrema() == (77, 77)


def test_a_transparent_picture_becomes_white_as_jpeg(runtime: Runtime) -> None:
    painted = read(stylize(runtime, png(20, 24, (10, 200, 90, 0)), format="jpeg"))
    assert np.asarray(painted).min() > 250


@pytest.mark.parametrize(("width", "height"), [(16, 16), (15, 40), (40, 15), (1, 1)])
def test_the_smallest_pictures_are_painted_at_their_size(runtime: Runtime, width: int, height: int) -> None:
    assert read(stylize(runtime, png(width, height))).size == (width, height)


def test_a_picture_that_is_extremely_narrow_is_refused(runtime: Runtime) -> None:
    with pytest.raises(BadPicture, match="1×4,000 is too narrow"):
        stylize(runtime, png(1, 4_000))


def test_an_answer_with_too_many_pixels_is_refused(runtime: Runtime) -> None:
    assert read(super_resolve(runtime, png(40, 40), 4)).size == (160, 160)
    with pytest.raises(TooLarge, match="164×160"):
        super_resolve(runtime, png(41, 40), 4)


def test_pixels_that_a_net_makes_on_the_way_do_not_count(runtime: Runtime) -> None:
    assert read(super_resolve(runtime, png(80, 80), 2)).size == (160, 160)  # halved from 320×320
    with pytest.raises(TooLarge, match="162×160"):
        super_resolve(runtime, png(81, 80), 2)


def test_an_upload_with_too_many_pixels_is_refused(runtime: Runtime) -> None:
    with pytest.raises(TooLarge, match="161×160"):
        stylize(runtime, png(161, 160))


@pytest.fixture
def small_runtime(store: Store, publish: Publish, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    """Yield a runtime with the same nets, and with memory for 10,000 pixels of the style."""
    publish("stylize", "tiny")
    publish("super-resolve", "x4-pixel", factor=4)
    capacity = capacity_of(torch.device("cpu"))
    room = inference_form(store.open("stylize", "tiny").net).bytes_needed(100, 100)
    monkeypatch.setattr("service.pipeline.runtime.capacity_of", lambda *_: capacity._replace(net_bytes=room))
    runtime = Runtime(store, torch.device("cpu"), ComputeSettings())
    yield runtime
    runtime.close()


def test_a_picture_that_needs_too_much_memory_is_refused(small_runtime: Runtime) -> None:
    assert read(stylize(small_runtime, png(100, 100))).size == (100, 100)
    with pytest.raises(TooLarge, match=r"101×100 pixels.* need \d+ MB.* has \d+ MB.*smaller by 'size'.*more memory"):
        stylize(small_runtime, png(101, 100))


def test_the_memory_that_is_needed_depends_on_what_the_net_sees(small_runtime: Runtime) -> None:
    assert read(stylize(small_runtime, png(400, 400), size=100)).size == (100, 100)
    assert read(stylize(small_runtime, png(400, 400), strength=0)).size == (400, 400)


def test_each_net_needs_its_own_memory(small_runtime: Runtime) -> None:
    with pytest.raises(TooLarge, match=r"100×100 pixels.*send a smaller picture, or give"):
        super_resolve(small_runtime, png(100, 100))


@pytest.mark.parametrize(
    ("options", "pixels"),
    [
        (StylizeOptions(style="tiny"), 48 * 32 * 2),
        (StylizeOptions(style="tiny", size=24), 48 * 32 + 24 * 16),
        (SuperResolveOptions(factor=2), 48 * 32 * 17),
    ],
    ids=str,
)
def test_a_plan_knows_the_pixels_of_upload_and_answer_before_anything_is_decoded(
    runtime: Runtime, photo_png: bytes, options: Options, pixels: int
) -> None:
    cut_short = photo_png[:-60]
    plan = asyncio.run(inspect(runtime, options, cut_short))
    assert plan.pixels == pixels
    with pytest.raises(BadPicture):
        asyncio.run(runtime.pipeline.make(plan))


def test_an_unknown_model_is_refused(runtime: Runtime, photo_png: bytes) -> None:
    with pytest.raises(UnknownModel, match="tiny"):
        asyncio.run(make(runtime, StylizeOptions(style="nope"), photo_png))


def test_many_pictures_at_once_each_get_their_own_answer(runtime: Runtime) -> None:
    sizes = [(16 + number % 4, 20) for number in range(12)]

    async def all_at_once() -> list[Answer]:
        calls = [make(runtime, StylizeOptions(style="tiny"), png(*size)) for size in sizes]
        return await asyncio.gather(*calls)

    assert [read(answer).size for answer in asyncio.run(all_at_once())] == sizes
