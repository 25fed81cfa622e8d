"""The threads of the app begin and end with it."""

import threading

import httpx

from model_store.store import BUNDLED, Store
from service.server.settings import Settings

from ..serving import serve


def test_the_thread_that_looks_for_new_versions_ends_with_the_app() -> None:
    before = set(threading.enumerate())
    with serve(Settings(device="cpu"), Store(BUNDLED)) as url:
        assert httpx.get(f"{url}/readyz").is_success
        (upkeep,) = (thread for thread in set(threading.enumerate()) - before if thread.name == "upkeep")
    assert not upkeep.is_alive()
