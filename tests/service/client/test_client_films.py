"""The clients' films, against a real server."""

import asyncio
import io
from pathlib import Path

import av
import httpx
import pytest

from service.client import AsyncClient, BadFilm, BadOption, Client, ConnectionFailed, UnexpectedAnswer

from ..server.films.filming import frames_in, serving
from ..serving import metric, until
from ..stores import TurnstileStore
from ..video.films import pictures, write_film

pytestmark = pytest.mark.process  # each film has one


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_film(tmp_path_factory.mktemp("films") / "film.mp4", pictures(20), sound=True)


def test_a_film_is_painted_and_saved(server: str, film: Path, tmp_path: Path) -> None:
    with Client(server) as client:
        painted = client.stylize_video(film, style={"muse": 1, "candy": 1}, size=32)
        assert painted.model == "candy@1:0.5,muse@1:0.5"
        path = painted.save(tmp_path / "painted.mp4")
    assert frames_in(path.read_bytes())[0].width == 32
    assert [each.name for each in tmp_path.iterdir()] == ["painted.mp4"]


def test_an_open_file_is_enlarged_and_read_piece_by_piece(server: str, film: Path) -> None:
    with Client(server) as client, film.open("rb") as file, client.super_resolve_video(file, factor=2) as enlarged:
        pieces = list(enlarged)
    assert len(pieces) > 1
    assert len(frames_in(b"".join(pieces))) == 20


def test_asynchronous_code_has_the_same(server: str, film: Path, tmp_path: Path) -> None:
    in_memory = io.BytesIO(film.read_bytes())

    async def run() -> None:
        async with AsyncClient(server) as client:
            painted = await client.stylize_video(film, style="muse")
            await painted.save(tmp_path / "painted.mp4")
            async with await client.super_resolve_video(in_memory, factor=2) as enlarged:
                (tmp_path / "enlarged.mp4").write_bytes(b"".join([piece async for piece in enlarged]))

    asyncio.run(run())
    for name, width in (("painted.mp4", 64), ("enlarged.mp4", 128)):
        with av.open(str(tmp_path / name)) as container:
            assert container.streams.video[0].width == width


def test_a_film_that_breaks_off_raises_and_leaves_no_file(film: Path, tmp_path: Path) -> None:
    store = TurnstileStore()
    store.net.permits.release(100)
    store.net.most = 5
    with serving(store) as url, Client(url) as client:
        painted = client.stylize_video(film, style="muse")
        with pytest.raises(ConnectionFailed, match=r"the film broke off after .* is not whole") as raised:
            painted.save(tmp_path / "painted.mp4")
    assert raised.value.request_id == painted.request_id
    assert list(tmp_path.iterdir()) == []


def test_closing_a_film_has_the_server_stop(film: Path) -> None:
    store = TurnstileStore()
    store.net.permits.release(5)
    with serving(store) as url, Client(url) as client:
        with client.stylize_video(film, style="muse") as painted:
            next(iter(painted))
        assert until(lambda: metric(url, 'impasto_films_total{outcome="client left"') == 1)
        store.net.permits.release(100)


def test_a_film_is_sent_again_where_that_may_help(server: str, film: Path) -> None:
    class FlakyOnce(httpx.HTTPTransport):
        attempts = 0

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            self.attempts += 1
            if self.attempts == 1:
                for _ in request.stream:  # type: ignore[union-attr]
                    pass
                return httpx.Response(503, headers={"Retry-After": "0"})
            return super().handle_request(request)

    transport = FlakyOnce()
    with Client(server, transport=transport) as client, client.stylize_video(film, style="muse") as painted:
        assert len(frames_in(b"".join(painted))) == 20
    assert transport.attempts == 2


def test_problems_are_raised_before_anything_is_read(server: str, film: Path, tmp_path: Path, photo_png: bytes) -> None:
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(film.read_bytes()[:2000])
    with Client(server) as client:
        with pytest.raises(BadFilm, match="cut short"):
            client.stylize_video(cut, style="muse")
        with pytest.raises(BadOption, match="format"):
            client.stylize_video(film, style="muse", format="png")
        with pytest.raises(UnexpectedAnswer, match="was the upload one"):
            client.stylize_video(io.BytesIO(photo_png), style="muse")
        with pytest.raises(TypeError, match="is no film"):
            client.stylize_video(7, style="muse")  # type: ignore[arg-type]
