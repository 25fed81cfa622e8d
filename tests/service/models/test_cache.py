import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.models.cache import Cache


def test_the_least_recently_used_are_dropped_to_a_limit() -> None:
    cache = Cache(make=str, size=len, limit=4)
    for key in (1, 22, 3, 1, 4):
        cache.get(key)
    assert cache.kept() == [3, 1, 4]
    cache.shrink(1)
    assert cache.kept() == [4]


def test_the_one_used_last_is_kept_however_large() -> None:
    cache = Cache(make=str, size=len, limit=2)
    for key in (1, 2, 3333):
        cache.get(key)
    assert cache.kept() == [3333]
    cache.shrink(0)
    assert cache.kept() == [3333]


def test_what_took_long_to_make_is_not_dropped_for_what_was_used_meanwhile() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def make(key: int) -> str:
        if key == 3:
            begun.set()
            assert go_on.wait(30)
        return str(key)

    cache = Cache(make, size=len, limit=2)
    with ThreadPoolExecutor(1) as thread:
        slow = thread.submit(cache.get, 3)
        assert begun.wait(30)
        for key in (1, 2):
            cache.get(key)
        assert cache.kept() == [1, 2]
        go_on.set()
        slow.result()
    assert cache.kept() == [2, 3]


def test_an_error_goes_to_all_who_wait_and_is_not_kept() -> None:
    calls: list[int] = []
    begun, go_on = threading.Event(), threading.Event()

    def make(key: int) -> str:
        calls.append(key)
        begun.set()
        assert go_on.wait(30)
        if len(calls) == 1:
            raise RuntimeError("not now")
        return str(key)

    cache = Cache(make, size=len)
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(cache.get, 1)
        assert begun.wait(30)
        assert cache.kept() == []
        go_on.set()
        with pytest.raises(RuntimeError, match="not now"):
            first.result()
    assert cache.get(1) == "1"
    assert calls == [1, 1]
