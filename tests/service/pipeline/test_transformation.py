"""The frame of a film comes out as the same picture does."""

import asyncio
import io

import numpy as np
import pytest
import torch
from PIL import Image

from service.contract.options import Options, StylizeOptions, SuperResolveOptions
from service.contract.problems import BadPicture, TooLarge, UnknownModel
from service.pipeline.runtime import Runtime

from ...picture_files import encoded
from .making import make


def made_of_pixels(runtime: Runtime, options: Options, pixels: np.ndarray) -> np.ndarray:
    async def run() -> torch.Tensor:
        height, width, _ = pixels.shape
        transformation = await runtime.pipeline.transformation(width, height, options)
        return await runtime.pipeline.make_pixels(transformation, torch.from_numpy(pixels))

    return asyncio.run(run()).numpy()


@pytest.mark.parametrize(
    "options",
    [
        StylizeOptions(style="tiny"),
        StylizeOptions(style="tiny", strength=0.4, preserve_color=True),
        StylizeOptions(style="tiny", strength=0),
        StylizeOptions(style="tiny", stroke=2),
        SuperResolveOptions(factor=4),
        SuperResolveOptions(scale=1.5, match_histogram=True),
        SuperResolveOptions(size=64, self_ensemble=True),
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [(48, 32), (13, 21)])
def test_a_frame_is_made_as_a_picture_is(
    runtime: Runtime, photo: Image.Image, options: Options, size: tuple[int, int]
) -> None:
    resized = photo.resize(size)
    picture = asyncio.run(make(runtime, options, encoded(resized)))
    with Image.open(io.BytesIO(picture.content)) as image:
        assert np.array_equal(np.asarray(image), made_of_pixels(runtime, options, np.array(resized)))


def test_a_frame_is_painted_in_the_size_that_was_asked_for(runtime: Runtime, photo: Image.Image) -> None:
    assert made_of_pixels(runtime, StylizeOptions(style="tiny", size=24), np.array(photo)).shape == (16, 24, 3)


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (StylizeOptions(style="huge"), UnknownModel),
        (SuperResolveOptions(factor=4), TooLarge),
        (SuperResolveOptions(size=40), BadPicture),
    ],
)
def test_what_cannot_be_made_of_a_size_is_refused(runtime: Runtime, options: Options, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        made_of_pixels(runtime, options, np.zeros((80, 100, 3), np.uint8))
