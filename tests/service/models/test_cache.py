import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.models.cache import Cache


def test_the_least_recently_used_values_are_dropped_down_to_the_limit() -> None:
    cache = Cache(make=str, size=len, limit=4)
    for key in (1, 22, 3, 1, 4):
        cache.get(key)
    assert cache.kept() == [3, 1, 4]
    cache.shrink(1)
    assert cache.kept() == [4]


def test_the_value_used_last_is_kept_however_large_it_is() -> None:
    cache = Cache(make=str, size=len, limit=2)
    for key in (1, 2, 3333):
        cache.get(key)
    assert cache.kept() == [3333]
    cache.shrink(0)
    assert cache.kept() == [3333]


def test_a_value_that_is_slow_to_make_counts_as_just_used() -> None:
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


def test_an_error_goes_to_the_caller_and_is_not_kept() -> None:
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
