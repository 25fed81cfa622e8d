"""Live painting, by a WebSocket client and a server on a real socket."""

import io
import json
import time
from contextlib import ExitStack, suppress
from typing import Any

import httpx
import pytest
from PIL import Image
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from model_store.store import BUNDLED, Store
from service.server.routes.live import MOST_FRAME_BYTES
from service.server.settings import Settings

from ...picture_files import plain_png
from ..serving import has_a_place, serve, until
from ..stores import GatedStore, Publish


def live(url: str, query: str = "style=muse&light=false") -> ClientConnection:
    return connect(f"{url.replace('http', 'ws', 1)}/stylize/live?{query}")


def status(connection: ClientConnection, **options: Any) -> dict[str, Any]:
    """Send options, and return the status that answers them, which comes after all earlier messages."""
    connection.send(json.dumps(options))
    message = connection.recv(30)
    assert isinstance(message, str)
    return dict(json.loads(message))


def next_frame(connection: ClientConnection) -> tuple[bytes, list[dict[str, Any]]]:
    """Return the next binary message, and the text messages before it."""
    texts = []
    while isinstance(message := connection.recv(30), str):
        texts.append(json.loads(message))
    return message, texts


def ending(connection: ClientConnection) -> tuple[int, str, dict[str, Any]]:
    """Return how the server closes the connection: the code, the reason, and the last problem."""
    problem: dict[str, Any] = {}
    with suppress(ConnectionClosed):
        for message in connection:
            if isinstance(message, str):
                problem = json.loads(message).get("problem", problem)
    assert connection.close_code is not None
    return connection.close_code, connection.close_reason or "", problem


def test_a_frame_is_answered_by_the_same_picture_as_a_request(server: str, photo_png: bytes) -> None:
    painted = httpx.post(f"{server}/stylize?style=muse&format=jpeg&quality=80", content=photo_png, timeout=60)
    with live(server) as connection:
        connection.send(photo_png)
        frame, texts = next_frame(connection)
    assert frame == painted.content
    assert texts[0]["model"] == "muse@1"
    assert set(texts[0]["stages"]) == {"decode", "queue", "net", "encode"}


def test_frames_are_answered_one_after_the_other(server: str) -> None:
    with live(server) as connection:
        for width in (20, 24, 28):
            connection.send(plain_png(90, width))
            frame, _ = next_frame(connection)
            assert Image.open(io.BytesIO(frame)).size == (width, 16)
        assert status(connection)["painted"] == 3


def test_light_nets_paint_on_a_cpu_unless_the_client_says_otherwise(
    store: Store, publish: Publish, photo_png: bytes
) -> None:
    for name in ("one", "one-light", "two"):
        publish("stylize", name)
    told = []
    with serve(Settings(device="cpu"), store) as url, live(url, "style=one") as connection:
        for options in ({}, {"light": False}, {"light": True}, {"light": False, "style": "two"}):
            status(connection, **options)
            connection.send(photo_png)
            next_frame(connection)
            told.append(status(connection)["model"])
    assert told == ["one-light@1", "one@1", "one-light@1", "two@1"]


def test_of_the_frames_that_come_while_one_is_painted_the_newest_wins(gated_store: GatedStore) -> None:
    with serve(Settings(device="cpu"), gated_store) as url, live(url) as connection:
        connection.send(plain_png(10))
        assert gated_store.gate.entered.wait(30)
        for red in (20, 30, 40):
            connection.send(plain_png(red))
        assert status(connection)["dropped"] == 2
        gated_store.gate.opened.set()
        next_frame(connection)
        next_frame(connection)
        assert gated_store.gate.seen == [10, 40]
        assert status(connection)["painted"] == 2


def test_the_style_changes_by_a_text_message(server: str, photo_png: bytes) -> None:
    with live(server) as connection:
        connection.send(photo_png)
        muse, _ = next_frame(connection)
        assert status(connection, style="candy")["style"] == "candy"
        connection.send(photo_png)
        candy, _ = next_frame(connection)
        assert candy != muse
        assert status(connection)["model"] == "candy@1"


def test_a_frame_that_is_refused_as_busy_is_dropped_and_the_next_is_painted(gated_store: GatedStore) -> None:
    with (
        serve(Settings(device="cpu", max_in_flight=1), gated_store) as url,
        live(url) as first,
        live(url) as second,
    ):
        first.send(plain_png(10))
        assert gated_store.gate.entered.wait(30)
        second.send(plain_png(20))
        told = json.loads(second.recv(30))
        assert (told["dropped"], told["painted"]) == (1, 0)
        assert "try again" in told["refused"]
        gated_store.gate.opened.set()
        next_frame(first)
        second.send(plain_png(30))
        next_frame(second)
        assert status(second)["refused"] is None


def test_a_connection_on_which_nothing_comes_is_closed() -> None:
    with serve(Settings(device="cpu", live_idle_timeout_s=0.3), Store(BUNDLED)) as url, live(url) as connection:
        code, reason, problem = ending(connection)
    assert (code, problem["status"]) == (4408, 408)
    assert reason == "nothing came for 0 s: connect again when there is a frame"


def test_a_connection_whose_frame_is_painted_for_long_is_not_closed(gated_store: GatedStore) -> None:
    with serve(Settings(device="cpu", live_idle_timeout_s=0.3), gated_store) as url, live(url) as connection:
        connection.send(plain_png(10))
        assert gated_store.gate.entered.wait(30)
        time.sleep(0.6)
        gated_store.gate.opened.set()
        assert next_frame(connection)[0]


def test_there_are_four_connections_for_each_place_and_one_without_frames_gives_way_at_once(photo_png: bytes) -> None:
    with serve(Settings(device="cpu", max_in_flight=1), Store(BUNDLED)) as url, ExitStack() as opened:
        silent = [opened.enter_context(live(url)) for _ in range(4)]
        for each in silent:
            status(each)
            time.sleep(0.01)
        with live(url) as new:
            new.send(photo_png)
            assert next_frame(new)[0]
        assert ending(silent[0])[0] == 4408
        assert [status(each)["painted"] for each in silent[1:]] == [0, 0, 0]


def test_a_frame_that_runs_out_of_time_is_dropped(gated_store: GatedStore) -> None:
    with serve(Settings(device="cpu", deadline_s=0.2), gated_store) as url, live(url) as connection:
        connection.send(plain_png(10))
        assert "not ready" in json.loads(connection.recv(30))["refused"]
        gated_store.gate.opened.set()


def test_a_client_that_disconnects_frees_its_place(gated_store: GatedStore) -> None:
    with serve(Settings(device="cpu", max_in_flight=1), gated_store) as url:
        with live(url) as first:
            first.send(plain_png(10))
            assert gated_store.gate.entered.wait(30)
        assert until(lambda: has_a_place(url))
        gated_store.gate.opened.set()


@pytest.mark.parametrize(
    ("query", "code", "said"),
    [
        ("style=nope", 4404, "there is no style 'nope'"),
        ("", 4422, "style: Field required"),
        ("style=muse&colour=red", 4422, "colour"),
        ("style=muse&format=png", 4422, "format"),
        ("style=muse&quality=0", 4422, "quality"),
    ],
)
def test_a_wrong_option_closes_with_the_status_and_the_reason(
    server: str, photo_png: bytes, query: str, code: int, said: str
) -> None:
    with live(server, query) as connection:
        if code == 4404:
            connection.send(photo_png)
        closed, reason, problem = ending(connection)
    assert closed == code
    assert said in reason
    assert problem["status"] == code - 4000
    assert problem["request_id"]


@pytest.mark.parametrize("text", ["muse", '["muse"]', '{"style": 3}'])
def test_a_text_that_is_not_options_closes_the_connection(server: str, text: str) -> None:
    with live(server) as connection:
        connection.send(text)
        assert ending(connection)[0] == 4422


def test_a_frame_that_is_no_picture_closes_the_connection(server: str) -> None:
    with live(server) as connection:
        connection.send(b"no picture")
        code, reason, _ = ending(connection)
    assert code == 4415
    assert "format" in reason


def test_a_frame_of_too_many_bytes_closes_the_connection(server: str) -> None:
    with live(server) as connection:
        connection.send(bytes(MOST_FRAME_BYTES + 1))
        assert ending(connection)[0] == 4413


def test_a_server_that_stops_closes_with_1012() -> None:
    with ExitStack() as connections:
        with serve(Settings(device="cpu"), Store(BUNDLED)) as url:
            connection = connections.enter_context(live(url))
            connection.send(plain_png(10))
            next_frame(connection)
        assert ending(connection)[0] == 1012


def test_frames_are_counted_as_pictures() -> None:
    with serve(Settings(device="cpu"), Store(BUNDLED)) as url:
        with live(url) as connection:
            connection.send(plain_png(10))
            next_frame(connection)
        metrics = httpx.get(f"{url}/metrics").text
    assert 'impasto_pictures_total{model="muse@1",task="stylize"} 1.0' in metrics
