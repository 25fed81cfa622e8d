import os

import pytest

from service.device.allocator import limit_plans

LIMIT = "TORCH_CUDNN_V8_API_LRU_CACHE_LIMIT"


def test_torch_keeps_fewer_plans_than_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LIMIT, raising=False)
    limit_plans()
    assert 0 < int(os.environ[LIMIT]) < 10_000


def test_whoever_runs_the_server_may_choose_how_many_plans_torch_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT, "123")
    limit_plans()
    assert os.environ[LIMIT] == "123"
