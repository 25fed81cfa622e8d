"""Each attack in small, against a small server: a good client beside it is served as if nothing were.

`python tests/benchmarks/attacks.py` measures the attacks in full, and unread answers too, whose picture takes long
to paint.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from ..benchmarks.servers import OURS, Server, running
from ..picture_files import plain_png
from .good_client import attacked, experience

pytestmark = pytest.mark.process

PICTURE = plain_png(1, 64, 64)
MOST_CONNECTIONS = 32
SMALL = {
    "IMPASTO_DEVICE": "cpu",
    "IMPASTO_STORE": "nothing-here",
    "IMPASTO_PRELOAD": "muse",
    "IMPASTO_MAX_IN_FLIGHT": "2",
    "IMPASTO_MAX_CONNECTIONS": str(MOST_CONNECTIONS),
    "IMPASTO_MAX_UPLOAD_BYTES_IN_FLIGHT": "10000000",
    "IMPASTO_MAX_ANSWER_BYTES_IN_FLIGHT": "10000000",
}
PAUSE_MS = 250
"""Milliseconds that a busy machine may keep a request waiting by itself."""


class Attacked(NamedTuple):
    """A server, and what a client experiences while nothing disturbs it."""

    server: Server
    p99_ms: float
    live_p99_ms: float


@pytest.fixture(scope="module")
def undisturbed() -> Iterator[Attacked]:
    with running(OURS, SMALL) as server:
        p99_ms, live_p99_ms = (experience(server.url, PICTURE, 1, live=live).p99_ms for live in (False, True))
        assert p99_ms is not None
        assert live_p99_ms is not None
        yield Attacked(server, p99_ms, live_p99_ms)


@pytest.mark.parametrize(
    ("attack", "connections"),
    [
        ("slow-uploads", 4),
        ("trickled-uploads", 4),
        ("large-unfinished-uploads", 2),
        ("silent-connections", 64),
        ("idle-connections", 64),
        ("trickled-headers", 64),
        ("endless-headers", 2),
        ("endless-trailers", 2),
        ("pipelined-requests", 4),
        ("silent-websockets", 8),
        ("unfinished-frames", 8),
        ("refused-uploads", 2),
        ("overlapping-tiffs", 2),
        ("tiffs-of-many-strips", 1),
        ("gifs-of-many-frames", 1),
    ],
)
def test_a_good_client_notices_nothing_of_an_attack(undisturbed: Attacked, attack: str, connections: int) -> None:
    server = undisturbed.server
    is_live = attack == "silent-websockets"
    before = server.resident_mib()
    with attacked(attack, server.url, connections):
        during = experience(server.url, PICTURE, 1, live=is_live)
        sockets, more_mib = open_sockets(server), server.resident_mib() - before
    assert during.longest_refusal_s < 1
    assert during.p99_ms is not None
    assert during.p99_ms < 3 * (undisturbed.live_p99_ms if is_live else undisturbed.p99_ms) + PAUSE_MS
    assert sockets < MOST_CONNECTIONS + 10
    assert more_mib < 40


def open_sockets(server: Server) -> int:
    descriptors = Path(f"/proc/{server.process.pid}/fd").iterdir()
    return sum(str(each.readlink()).startswith("socket:") for each in descriptors if each.is_symlink())
