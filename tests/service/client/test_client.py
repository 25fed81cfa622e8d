"""The clients against a real server: pictures, models, options and errors."""

import asyncio
import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from model_store.card import Card
from model_store.store import BUNDLED, Store
from service import client as sdk
from service.client import (
    Answer,
    AsyncClient,
    BadOption,
    BadPicture,
    Client,
    ClientError,
    NotFound,
    ProblemError,
    TooLarge,
    UnknownModel,
    UnsupportedFormat,
    errors,
)

from ..error_tree import parents_drawn


@pytest.fixture(scope="module")
def client(server: str) -> Iterator[Client]:
    with Client(server) as client:
        yield client


def size_of(answer: Answer) -> tuple[int, int]:
    return Image.open(io.BytesIO(answer.content)).size


# Against a real server


def test_bytes_are_painted(client: Client, photo_png: bytes, photo: Image.Image) -> None:
    assert size_of(client.stylize(photo_png, style="muse")) == photo.size


@pytest.mark.parametrize("kind", [str, Path])
def test_a_file_is_painted_by_its_path(
    client: Client, photo_png: bytes, photo: Image.Image, tmp_path: Path, kind: type
) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(photo_png)
    assert size_of(client.stylize(kind(path), style="muse")) == photo.size


def test_an_open_file_is_painted(client: Client, photo_png: bytes, photo: Image.Image) -> None:
    assert size_of(client.stylize(io.BytesIO(photo_png), style="muse")) == photo.size


def test_a_picture_is_enlarged(client: Client, photo_png: bytes, photo: Image.Image) -> None:
    assert size_of(client.super_resolve(photo_png, factor=4)) == (4 * photo.width, 4 * photo.height)


def test_an_enlargement_is_given_the_colours_of_the_picture(client: Client, photo_png: bytes) -> None:
    matched = client.super_resolve(photo_png, match_histogram=True)
    assert matched.content != client.super_resolve(photo_png).content


def test_the_answer_has_what_the_headers_of_the_server_say(client: Client, photo_png: bytes) -> None:
    answer = client.stylize(photo_png, style="muse", format="webp", quality=50)
    assert answer.media_type == "image/webp"
    assert answer.model == "muse@1"
    assert answer.request_id
    assert set(answer.timing) == {"decode", "queue", "net", "encode"}
    assert answer.timing["net"] > 0


def test_the_answer_is_saved_to_a_file(client: Client, photo_png: bytes, tmp_path: Path) -> None:
    answer = client.stylize(photo_png, style="muse")
    path = answer.save(tmp_path / "painted.png")
    assert path.read_bytes() == answer.content


def test_the_models_of_the_server_are_listed(client: Client) -> None:
    assert client.models() == Store(BUNDLED).cards()


@pytest.mark.parametrize("more", [{}, {"served_version": 1, "loaded": True}])
def test_unknown_fields_of_a_newer_server_do_not_keep_models_from_being_listed(more: dict[str, Any]) -> None:
    cards = Store(BUNDLED).cards()
    told = [card.model_dump(mode="json") | more for card in cards]
    with Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, json=told))) as client:
        assert client.models() == cards


@pytest.mark.parametrize("name", ["muse", "muse@1"])
def test_the_card_of_a_model_is_read(client: Client, name: str) -> None:
    card = client.model("stylize", name)
    assert isinstance(card, Card)
    assert card.label == "muse@1"


@pytest.mark.parametrize("name", ["muse?", "muse#1", "muse/../muse", "muse%40", ""])
def test_a_model_name_with_url_characters_in_it_is_quoted(client: Client, name: str) -> None:
    with pytest.raises(NotFound):
        client.model("stylize", name)


def test_the_async_client_does_the_same(server: str, photo_png: bytes, photo: Image.Image) -> None:
    async def use() -> None:
        async with AsyncClient(server) as client:
            painted, enlarged = await asyncio.gather(
                client.stylize(io.BytesIO(photo_png), style="muse"), client.super_resolve(photo_png, factor=4)
            )
            assert size_of(painted) == photo.size
            assert size_of(enlarged) == (4 * photo.width, 4 * photo.height)
            matched = await client.super_resolve(photo_png, match_histogram=True)
            assert matched.content != enlarged.content
            assert await client.models() == Store(BUNDLED).cards()
            assert (await client.model("stylize", "muse")).label == "muse@1"
            with pytest.raises(UnknownModel):
                await client.stylize(photo_png, style="nope")

    asyncio.run(use())


def test_a_missing_file_raises_an_os_error(client: Client, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        client.stylize(tmp_path / "nothing.png", style="muse")


@pytest.mark.parametrize(
    ("picture", "options", "kind"),
    [
        (None, {"style": "nope"}, UnknownModel),
        (None, {"style": "muse", "quality": 0}, BadOption),
        (None, {"style": {"muse": -1}}, BadOption),
        (b"", {"style": "muse"}, BadPicture),
        (b"Dear server", {"style": "muse"}, UnsupportedFormat),
        (bytes(3 * 1024**2), {"style": "muse"}, TooLarge),
    ],
)
def test_each_refusal_of_the_server_raises_its_own_class(
    client: Client, photo_png: bytes, picture: bytes | None, options: dict[str, Any], kind: type[ProblemError]
) -> None:
    with pytest.raises(kind) as refused:
        client.stylize(photo_png if picture is None else picture, **options)
    error = refused.value
    assert error.request_id
    assert error.request_id in str(error)
    assert error.detail in str(error)
    assert error.type.startswith("urn:impasto:problem:")


# What is sent


def params_sent(call: Callable[[Client | AsyncClient], Any]) -> list[dict[str, str]]:
    """Return the query that a call sends by the synchronous client, and the one it sends by the asynchronous client."""
    sent = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(dict(request.url.params))
        return httpx.Response(200, content=b"picture", headers={"Content-Type": "image/png"})

    async def call_both() -> None:
        with Client(transport=httpx.MockTransport(answer)) as client:
            call(client)
        async with AsyncClient(transport=httpx.MockTransport(answer)) as client:
            await call(client)

    asyncio.run(call_both())
    return sent


DEFAULTS = {"format": "auto", "quality": 90, "keep_metadata": False}
STYLIZE_DEFAULTS = DEFAULTS | {"strength": 1.0, "preserve_color": False, "light": False, "size": None}
SUPER_RESOLVE_DEFAULTS = DEFAULTS | {
    "factor": None,
    "scale": None,
    "size": None,
    "fidelity": 1.0,
    "blurred": False,
    "self_ensemble": False,
    "match_histogram": False,
}


@pytest.mark.parametrize("options", [{}, STYLIZE_DEFAULTS])
def test_default_options_of_stylize_are_not_sent(options: dict[str, Any]) -> None:
    assert params_sent(lambda client: client.stylize(b"photo", style="muse", **options)) == [{"style": "muse"}] * 2


@pytest.mark.parametrize("options", [{}, SUPER_RESOLVE_DEFAULTS])
def test_default_options_of_super_resolve_are_not_sent(options: dict[str, Any]) -> None:
    assert params_sent(lambda client: client.super_resolve(b"picture", **options)) == [{}, {}]


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({"strength": 0.5, "size": 512}, {"strength": "0.5", "size": "512"}),
        ({"strength": 0, "preserve_color": True}, {"strength": "0", "preserve_color": "true"}),
        ({"light": True}, {"light": "true"}),
        ({"format": "avif", "quality": 1, "keep_metadata": True}, None),
    ],
)
def test_other_options_of_stylize_are_sent(options: dict[str, Any], sent: dict[str, str] | None) -> None:
    expected = {"style": "muse"} | (sent or {"format": "avif", "quality": "1", "keep_metadata": "true"})
    assert params_sent(lambda client: client.stylize(b"photo", style="muse", **options)) == [expected] * 2


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({"size": 512}, {"size": "512"}),
        ({"factor": 4, "scale": 2.5}, {"factor": "4", "scale": "2.5"}),
        ({"factor": 8, "fidelity": 0.25}, {"factor": "8", "fidelity": "0.25"}),
        ({"fidelity": 0, "blurred": True}, {"fidelity": "0", "blurred": "true"}),
        ({"self_ensemble": True, "match_histogram": True}, {"self_ensemble": "true", "match_histogram": "true"}),
    ],
)
def test_other_options_of_super_resolve_are_sent(options: dict[str, Any], sent: dict[str, str]) -> None:
    assert params_sent(lambda client: client.super_resolve(b"picture", **options)) == [sent, sent]


@pytest.mark.parametrize(
    ("method", "option", "meant"),
    [("stylize", "strenght", "strength"), ("stylize", "factor", None), ("super_resolve", "fidelty", "fidelity")],
)
def test_an_unknown_option_is_refused_before_anything_is_sent(method: str, option: str, meant: str | None) -> None:
    style = {"style": "muse"} if method == "stylize" else {}
    with Client("http://nowhere") as client, pytest.raises(TypeError, match=option) as refused:
        getattr(client, method)(b"picture", **style, **{option: 1})
    assert ("did you mean" in str(refused.value)) is (meant is not None)
    assert meant is None or f"did you mean {meant}?" in str(refused.value)


@pytest.mark.parametrize("style", ["muse:0.7,candy@2:0.3", {"muse": 0.7, "candy@2": 0.3}])
def test_a_blend_is_given_as_text_or_as_a_mapping(style: str | dict[str, float]) -> None:
    expected = {"style": "muse:0.7,candy@2:0.3"}
    assert params_sent(lambda client: client.stylize(b"picture", style=style)) == [expected, expected]


# The package


@pytest.mark.process
def test_the_client_needs_neither_torch_nor_a_server() -> None:
    heavy = "{'torch', 'fastapi', 'starlette', 'uvicorn', 'numpy', 'PIL', 'fsspec', 'safetensors'}"
    program = f"import sys, service.client; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_public_names_are_the_clients_their_options_and_all_errors() -> None:
    options = {"Format", "MapOptions", "PictureOptions", "Style", "StylizeOptions", "SuperResolveOptions"}
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ClientError)]
    others = {"Answer", "AsyncClient", "AsyncFilm", "Client", "Film", "FilmSource", "PictureSource", "Progress"}
    assert set(sdk.__all__) == others | options | {kind.__name__ for kind in kinds}
    assert all(hasattr(sdk, name) for name in sdk.__all__)


def test_every_error_is_public_and_drawn_in_the_tree() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ClientError)]
    real = {kind.__name__: kind.__base__.__name__ for kind in kinds if kind is not ClientError}
    assert parents_drawn(errors.__doc__) == real
    assert set(real) < set(sdk.__all__)
