"""What tests of the pipeline share."""

from collections.abc import Iterator

import pytest
import torch

from model_store.store import Store
from service.pipeline.runtime import Runtime
from service.pipeline.settings import ComputeSettings

from ..stores import Publish


@pytest.fixture
def runtime(store: Store, publish: Publish) -> Iterator[Runtime]:
    """Yield a runtime with a style `tiny` and a net for ×4, which takes up to 25,600 pixels."""
    publish("stylize", "tiny")
    publish("super-resolve", "x4-pixel", factor=4)
    runtime = Runtime(store, torch.device("cpu"), ComputeSettings(max_pixels=25_600))
    yield runtime
    runtime.close()
