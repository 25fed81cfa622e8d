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
    Client,
    ClientError,
    ProblemError,
    TooLarge,
    UnknownModel,
    Unprocessable,
    UnsupportedFormat,
    errors,
)


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


def test_the_answer_tells_what_the_server_told(client: Client, photo_png: bytes) -> None:
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
def test_the_models_are_listed_whatever_else_a_server_tells_of_them(more: dict[str, Any]) -> None:
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
def test_a_name_with_marks_of_urls_in_it_is_still_a_name(client: Client, name: str) -> None:
    with pytest.raises(UnknownModel):
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


def test_a_picture_that_is_not_there_is_an_os_error(client: Client, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        client.stylize(tmp_path / "nothing.png", style="muse")


@pytest.mark.parametrize(
    ("picture", "options", "kind"),
    [
        (None, {"style": "nope"}, UnknownModel),
        (None, {"style": "muse", "quality": 0}, Unprocessable),
        (None, {"style": {"muse": -1}}, Unprocessable),
        (b"", {"style": "muse"}, Unprocessable),
        (b"Dear server", {"style": "muse"}, UnsupportedFormat),
        (bytes(3 * 1024**2), {"style": "muse"}, TooLarge),
    ],
)
def test_what_the_server_refuses_is_raised_by_its_kind(
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
    """The query that a call sends, by the sync client and by the async one."""
    sent = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(dict(request.url.params))
        return httpx.Response(200, content=b"picture")

    async def call_both() -> None:
        with Client(transport=httpx.MockTransport(answer)) as client:
            call(client)
        async with AsyncClient(transport=httpx.MockTransport(answer)) as client:
            await call(client)

    asyncio.run(call_both())
    return sent


@pytest.mark.parametrize("asked", [set(), {"blurred"}, {"self_ensemble"}, {"self_ensemble", "match_histogram"}])
def test_what_an_older_server_may_not_know_is_sent_only_when_asked_for(asked: set[str]) -> None:
    sent = params_sent(lambda client: client.super_resolve(b"picture", **dict.fromkeys(asked, True)))
    expected = {"factor": "4", "format": "auto", "quality": "90"} | dict.fromkeys(asked, "true")
    assert sent == [expected, expected]


@pytest.mark.parametrize(("fidelity", "expected"), [(1, {}), (0.25, {"fidelity": "0.25"}), (0, {"fidelity": "0"})])
def test_fidelity_is_sent_only_when_it_is_not_full(fidelity: float, expected: dict[str, str]) -> None:
    expected |= {"factor": "4", "format": "auto", "quality": "90"}
    assert params_sent(lambda client: client.super_resolve(b"picture", fidelity=fidelity)) == [expected, expected]


@pytest.mark.parametrize("style", ["muse:0.7,candy@2:0.3", {"muse": 0.7, "candy@2": 0.3}])
def test_a_blend_is_given_as_text_or_as_a_mapping(style: str | dict[str, float]) -> None:
    expected = {"style": "muse:0.7,candy@2:0.3", "format": "auto", "quality": "90"}
    assert params_sent(lambda client: client.stylize(b"picture", style=style)) == [expected, expected]


# The package


def test_the_client_needs_neither_torch_nor_a_server() -> None:
    heavy = "{'torch', 'fastapi', 'starlette', 'uvicorn', 'numpy', 'PIL', 'fsspec', 'safetensors'}"
    program = f"import sys, service.client; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_public_names_are_these() -> None:
    assert set(sdk.__all__) == {
        "Answer",
        "AsyncClient",
        "BadRequest",
        "Busy",
        "Client",
        "ClientError",
        "ConnectionFailed",
        "DeadlineExceeded",
        "ProblemError",
        "ServerFailed",
        "TooLarge",
        "Unauthorized",
        "Unavailable",
        "UnexpectedAnswer",
        "UnknownModel",
        "Unprocessable",
        "UnsupportedFormat",
    }
    assert all(hasattr(sdk, name) for name in sdk.__all__)


def test_every_error_is_public_and_drawn_in_the_tree(parents_drawn: Callable[[str], dict[str, str]]) -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ClientError)]
    real = {kind.__name__: kind.__base__.__name__ for kind in kinds if kind is not ClientError}
    assert parents_drawn(errors.__doc__) == real
    assert set(real) < set(sdk.__all__)
