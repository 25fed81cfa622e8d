"""The pictures that a workload sends."""

import io
from pathlib import Path

import pytest
from PIL import Image

from model_store.errors import ImpastoError
from service.bench import pictures

from ...picture_files import encoded

PHOTOS = sorted((Path(__file__).parents[2] / "pictures").glob("*.jpg"))


def test_generated_pictures_are_the_same_on_every_call_and_differ_from_one_another() -> None:
    files = pictures.make(64, 48, "jpeg").files
    assert files == pictures.make(64, 48, "jpeg").files
    assert len(set(files)) == len(files) > 1


@pytest.mark.parametrize("format_name", ["jpeg", "png", "webp"])
def test_generated_pictures_have_the_size_and_format_asked_for(format_name: pictures.Format) -> None:
    made = pictures.make(65, 33, format_name)
    assert (made.name, made.media_type, made.width, made.height) == ("65×33", f"image/{format_name}", 65, 33)
    for file in made.files:
        with Image.open(io.BytesIO(file)) as image:
            assert (image.size, image.mode, image.format) == ((65, 33), "RGB", format_name.upper())


def test_generated_jpegs_are_about_as_large_as_photos() -> None:
    photos = [Image.open(path).resize((256, 256)) for path in PHOTOS]
    sizes = [len(encoded(photo, "jpeg", quality=90, subsampling="4:2:0")) for photo in photos]
    assert sizes
    for file in pictures.make(256, 256, "jpeg").files:
        assert min(sizes) / 1.5 < len(file) < 1.5 * max(sizes)


def test_a_file_is_sent_as_it_is() -> None:
    read = pictures.read(PHOTOS[0])
    with Image.open(PHOTOS[0]) as image:
        assert (read.width, read.height) == image.size
    assert read.files == (PHOTOS[0].read_bytes(),)
    assert read.media_type == "image/jpeg"


def test_a_file_that_is_not_a_picture_is_refused() -> None:
    with pytest.raises(ImpastoError, match="not a picture"):
        pictures.read(Path(__file__))
