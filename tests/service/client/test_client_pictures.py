"""The kinds of pictures that the clients take, the bytes that they send, and the answers that they return."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image, ImageCms

from service.client import Answer, Client, PictureSource

from ...picture_files import encoded, turned


def bytes_sent(picture: PictureSource, *statuses: int) -> list[bytes]:
    """Return the bodies that a client sends to a server that answers with these statuses and then with 200."""
    outcomes = [*statuses, 200]
    sent = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.content)
        return httpx.Response(outcomes.pop(0), headers={"Content-Type": "image/png", "Retry-After": "0"})

    with Client(transport=httpx.MockTransport(answer)) as client:
        client.stylize(picture, style="muse")
    return sent


def image_sent(picture: PictureSource) -> Image.Image:
    return Image.open(io.BytesIO(bytes_sent(picture)[0]))


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, io.BytesIO])
def test_encoded_pictures_are_sent_as_they_are(kind: Any) -> None:
    assert bytes_sent(kind(b"photo")) == [b"photo"]


def test_an_open_file_is_read_from_its_position_and_not_closed(tmp_path: Path) -> None:
    path = tmp_path / "container"
    path.write_bytes(b"headphoto")
    with path.open("rb") as file:
        file.seek(4)
        assert bytes_sent(file) == [b"photo"]
        assert not file.closed


def test_a_retry_sends_the_same_bytes_of_a_file() -> None:
    assert bytes_sent(io.BytesIO(b"photo"), 503, 503) == [b"photo"] * 3


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 4)])
def test_an_array_is_sent_without_loss(shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    image = image_sent(array)
    assert image.format == "PNG"
    assert np.array_equal(np.asarray(image), array)


def test_a_strided_view_of_an_array_is_sent_as_the_view() -> None:
    array = np.arange(60, dtype=np.uint8).reshape(5, 4, 3)[::-1, ::2]
    assert np.array_equal(np.asarray(image_sent(array)), array)


@pytest.mark.parametrize(
    "array",
    [np.zeros((5, 7, 3)), np.zeros((5, 7, 2), np.uint8), np.zeros((1, 5, 7, 3), np.uint8), np.zeros((0, 7), np.uint8)],
)
def test_an_array_of_a_wrong_shape_or_type_is_refused_before_anything_is_sent(array: Any) -> None:
    with pytest.raises(ValueError, match="uint8"):
        bytes_sent(array)


@pytest.mark.parametrize("picture", [io.StringIO("photo"), 7, None, ["a.jpg"]])
def test_a_value_that_is_not_a_picture_is_refused_before_anything_is_sent(picture: Any) -> None:
    with pytest.raises(TypeError, match="is no picture"):
        bytes_sent(picture)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_an_image_in_a_mode_of_png_keeps_it(mode: str, photo: Image.Image) -> None:
    image = Image.new(mode, photo.size, 9) if mode == "I;16" else photo.convert(mode)
    sent = image_sent(image)
    assert sent.mode == mode
    assert np.array_equal(np.asarray(sent), np.asarray(image))


@pytest.mark.parametrize("mode", ["YCbCr", "CMYK", "HSV", "F"])
def test_an_image_in_another_mode_is_sent_as_rgb(mode: str, photo: Image.Image) -> None:
    image = photo.convert("L").convert("F") if mode == "F" else photo.convert(mode)
    assert np.array_equal(np.asarray(image_sent(image)), np.asarray(image.convert("RGB")))


def test_an_image_keeps_its_profile_and_exif(photo: Image.Image) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    sent = image_sent(Image.open(io.BytesIO(encoded(photo, "jpeg", icc_profile=profile, exif=turned(6)))))
    assert sent.info["icc_profile"] == profile
    assert dict(sent.getexif()) == {0x0112: 6}


ANSWER = {"Content-Type": "image/png", "X-Model": "muse@1", "Server-Timing": "decode;dur=1.5, net;dur=20, cache"}


def answer_with(content: bytes, **headers: str) -> Answer:
    answer = httpx.Response(200, content=content, headers=ANSWER | headers)
    with Client(transport=httpx.MockTransport(lambda _: answer)) as client:
        return client.stylize(b"photo", style="muse")


def test_an_answer_becomes_an_image(photo_png: bytes, photo: Image.Image) -> None:
    image = answer_with(photo_png).to_pil()
    assert (image.format, image.size) == ("PNG", photo.size)
    assert np.array_equal(np.asarray(image), np.asarray(photo))


@pytest.mark.parametrize(("headers", "frames"), [({}, 1), ({"X-Frames": "12"}, 12), ({"X-Frames": "many"}, 1)])
def test_an_answer_has_the_number_of_frames_of_the_upload(headers: dict[str, str], frames: int) -> None:
    assert answer_with(b"picture", **headers).frames == frames


def test_an_answer_has_the_times_of_the_stages_on_the_server() -> None:
    assert answer_with(b"picture").timing == {"decode": 1.5, "net": 20}


@pytest.mark.process
def test_the_client_imports_neither_pillow_nor_numpy_by_itself() -> None:
    program = """
import sys
import httpx
from service.client import Client
answer = httpx.Response(200, content=b"picture", headers={"Content-Type": "image/png"})
client = Client(transport=httpx.MockTransport(lambda _: answer))
client.stylize(b"photo", style="muse")
print(sorted({"torch", "numpy", "PIL"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.process
def test_to_pil_without_pillow_says_how_to_install_it() -> None:
    program = """
import sys
import httpx
from service.client import Client
sys.modules["PIL"] = None
answer = httpx.Response(200, content=b"picture", headers={"Content-Type": "image/png"})
client = Client(transport=httpx.MockTransport(lambda _: answer))
try:
    client.stylize(b"photo", style="muse").to_pil()
except ModuleNotFoundError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pip install pillow" in done.stdout
