"""Tests of captures that fail, against stand-ins for torch's allocators, which differ between its versions."""

import gc
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from service.inference.cuda.graph_pool import GraphPool

SHARED = 1
"""Number of users of a pool into which nothing was captured."""


class Allocators:
    """A stand-in for torch's allocators, of the device and of page-locked memory, and what they know of pools."""

    def __init__(self, version: tuple[int, int], capturing_error: str | None) -> None:
        self.ends_routing_after_errors = version >= (2, 13)
        self.releases_after_errors = version >= (2, 14)
        self.capturing_error = capturing_error
        self.users: dict[tuple[int, int], int] = {}
        self.routed: set[tuple[int, int]] = set()
        """Pools that memory is being taken from; while there is one, torch frees nothing on the device."""

    def begin(self, pool: tuple[int, int]) -> None:
        if pool in self.routed:
            raise RuntimeError("beginAllocateToPool: already recording to mempool_id")
        self.users[pool] += 1
        self.routed.add(pool)

    def end(self, _device: int, pool: tuple[int, int]) -> None:
        if pool not in self.routed:
            raise RuntimeError("endAllocatePool: not currently recording to mempool_id")
        self.routed.remove(pool)

    def release(self, _device: int, pool: tuple[int, int]) -> None:
        self.users[pool] -= 1
        assert self.users[pool] >= 0, "torch would be confused for ever"


class StandInPool:
    """A stand-in for a `torch.cuda.MemPool`."""

    def __init__(self, allocators: Allocators) -> None:
        self.allocators = allocators
        self.id = (0, len(allocators.users) + 1)
        allocators.users[self.id] = SHARED

    def use_count(self) -> int:
        return self.allocators.users[self.id]

    def __del__(self) -> None:
        self.allocators.release(0, self.id)
        assert not self.allocators.routed, "torch would end the process"


class StandInGraph:
    """A stand-in for a `torch.cuda.CUDAGraph`."""

    def __init__(self, allocators: Allocators) -> None:
        self.allocators = allocators
        self.pool: tuple[int, int] | None = None
        self.is_captured = False

    def capture_begin(self, pool: tuple[int, int], capture_error_mode: str) -> None:
        assert capture_error_mode == "thread_local"
        self.allocators.begin(pool)
        self.pool = pool

    def capture_end(self) -> None:
        assert self.pool is not None
        error = self.allocators.capturing_error
        if error is None or self.allocators.ends_routing_after_errors:
            self.allocators.end(0, self.pool)
        if error is not None:
            raise RuntimeError(error)
        self.is_captured = True

    def replay(self) -> None: ...

    def reset(self) -> None:
        if self.pool is not None and (self.is_captured or self.allocators.releases_after_errors):
            self.allocators.release(0, self.pool)
            self.pool = None

    def __del__(self) -> None:
        self.reset()


def same(pictures: Tensor) -> Tensor:
    return pictures + 1


def without_memory(pictures: Tensor) -> Tensor:
    raise torch.OutOfMemoryError(f"no memory for {pictures.shape}")


Install = Callable[[tuple[int, int], str | None], Allocators]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that installs the stand-ins for a version of torch, with an error at the end of captures."""

    def install(version: tuple[int, int], capturing_error: str | None) -> Allocators:
        allocators = Allocators(version, capturing_error)
        monkeypatch.setattr(torch.cuda, "MemPool", lambda: StandInPool(allocators))
        monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: StandInGraph(allocators))
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", allocators.end)
        monkeypatch.setattr(torch._C, "_cuda_releasePool", allocators.release)
        return allocators

    return install


every_version = pytest.mark.parametrize("version", [(2, 11), (2, 13), (2, 14)], ids=str)
pictures = torch.zeros(1, 3, 16, 16)


@every_version
def test_a_pool_is_in_use_as_long_as_its_graphs_are_and_no_longer(version: tuple[int, int], install: Install) -> None:
    allocators = install(version, None)
    pool = GraphPool()
    graph = pool.capture(same, pictures)
    del pool

    gc.collect()
    assert set(allocators.users.values()) == {SHARED + 1}
    del graph
    gc.collect()
    assert set(allocators.users.values()) == {0}


@every_version
@pytest.mark.parametrize(
    ("transform", "at_the_end", "raised"),
    [
        (same, "operation failed due to a previous error during capture", "previous error"),
        (without_memory, None, "no memory"),
        (without_memory, "operation failed due to a previous error during capture", "no memory"),
    ],
    ids=["at its end", "on the way", "both"],
)
def test_a_capture_that_fails_leaves_nothing_behind_and_raises_the_first_error(
    version: tuple[int, int],
    transform: Callable[[Tensor], Tensor],
    at_the_end: str | None,
    raised: str,
    install: Install,
) -> None:
    allocators = install(version, at_the_end)
    pool = GraphPool()

    with pytest.raises(RuntimeError, match=raised):
        pool.capture(transform, pictures)

    assert not allocators.routed
    assert set(allocators.users.values()) == {SHARED}
    del pool
    gc.collect()
    assert set(allocators.users.values()) == {0}


def test_no_garbage_is_collected_while_a_graph_is_captured(install: Install) -> None:
    install((2, 14), None)

    class Cycle:
        def __init__(self) -> None:
            self.itself = self

    collected = []

    def collect_much(pictures: Tensor) -> Tensor:
        garbage = weakref.ref(Cycle())
        kept = [[] for _ in range(100_000)]  # enough for the collector to begin by itself
        collected.append(garbage() is None)
        return pictures + len(kept)

    GraphPool().capture(collect_much, pictures)

    assert collected == [False]
    assert gc.isenabled()
