"""Nets from the store in the form that each device computes, and while it computes."""

import gc
import threading
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from model_store.card import Card
from model_store.nets import TransformNet
from model_store.nets.interpolation import interpolate
from model_store.store import Store
from service.contract.blend import Blend
from service.engine.engine import Engine
from service.engine.queue import Output
from service.inference import inference_form
from service.models.loaded import Models

SECONDS = 60

Publish = Callable[..., Card]


@pytest.fixture
def models(store: Store, each_device: torch.device) -> Models:
    return Models(store, each_device, prepare=inference_form)


def noise(seed: int, height: int = 40, width: int = 52) -> Tensor:
    return torch.randint(0, 256, (height, width, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def painted(net: TransformNet, pixels: Tensor) -> Tensor:
    """As the net itself does it on the CPU, 0 to 255."""
    with torch.inference_mode():
        return 255 * net.eval()(pixels.permute(2, 0, 1)[None] / 255)[0].permute(1, 2, 0)


def distance(found: Tensor, wanted: Tensor) -> float:
    return float((found.float() - wanted).abs().mean())


@pytest.mark.parametrize(("task", "factor"), [("stylize", 1), ("super-resolve", 2)])
def test_a_blend_is_painted_by_the_net_between_its_parts(
    task: str, factor: int, models: Models, store: Store, publish: Publish, each_device: torch.device
) -> None:
    for seed, name in enumerate(("a", "b")):
        torch.manual_seed(seed)
        publish(task, name, factor=factor)
    nets = [store.open(task, name).net for name in ("a", "b")]  # type: ignore[arg-type]
    pixels = noise(0)
    wanted = painted(interpolate(nets, [0.7, 0.3]), pixels)
    engine = Engine(each_device, 4, 1_000_000)

    loaded = models.get(task, Blend.parse("a:0.7,b:0.3"))  # type: ignore[arg-type]
    found = [engine.submit(loaded.net, pixels).result(SECONDS).pixels for _ in range(3)]

    engine.close()
    assert all(distance(each, wanted) < 0.6 for each in found)
    assert distance(painted(nets[1], pixels), wanted) > 0.6 or task == "super-resolve"


def test_new_versions_take_over_while_the_device_computes_and_leave_nothing_behind(
    models: Models, store: Store, publish: Publish, each_device: torch.device
) -> None:
    versions = 8 if each_device.type == "cuda" else 3
    torch.manual_seed(0)
    publish("stylize", "tiny")
    engine = Engine(each_device, 4, 1_000_000, lanes=2)
    pixels = noise(0)
    outputs: list[tuple[str, Output]] = []
    stop = threading.Event()

    def paint() -> None:
        while not stop.is_set():
            model = models.get("stylize", Blend.parse("tiny"))
            outputs.append((model.label, engine.submit(model.net, pixels).result(SECONDS)))

    painters = [threading.Thread(target=paint) for _ in range(3)]
    for painter in painters:
        painter.start()
    used, loaded = [], []
    for version in range(1, versions + 1):
        if version > 1:
            publish("stylize", "tiny")
            models.refresh()
        loaded.append(weakref.ref(models.get("stylize", Blend.parse("tiny")).net))
        seen = len(outputs)
        while len(outputs) < seen + 12:
            stop.wait(0.01)
        used.append(torch.cuda.memory_allocated() if each_device.type == "cuda" else 0)
    stop.set()
    for painter in painters:
        painter.join()
    models.shrink()
    engine.close()

    assert {label for label, _ in outputs} == {f"tiny@{version}" for version in range(1, versions + 1)}
    for version in range(1, versions + 1):
        wanted = painted(store.open("stylize", "tiny", version).net, pixels)
        assert all(distance(each.pixels, wanted) < 0.6 for label, each in outputs if label == f"tiny@{version}")
    gc.collect()
    assert [net() is None for net in loaded[:-1]] == [True] * (versions - 1)
    assert max(used[2:]) - used[1] < 16 * 2**20
