"""Measure a net in the form that serves, compared with the net as it was trained and with the limits of the device.

    python tests/benchmarks/net.py --shape 256x1 --shape 256x32

The peers are the net as it was trained, in eager float32, and on CUDA also in eager bfloat16 and channels-last. All run
in turn on the same pictures. Then the layers of the serving form are timed one by one, without CUDA graphs, and
compared with the limits of the device, which are measured by copying memory and by multiplying large matrices. The
least time of a layer is that of its arithmetic, or of reading and writing its input and output once, whichever is
longer. The ceiling of a net is the least time of the arithmetic of its convolutions, as it was trained.
"""

import argparse
import copy
import json
import re
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from timing import interleaved
from torch import Tensor, nn

from model_store.naming import light_label
from model_store.nets import LightStyleNet, TransformNet
from model_store.store import BUNDLED, Store
from service.inference import inference_form
from service.inference.cuda.awaited_form import AwaitedForm
from service.inference.cuda.bfloat16_net import Bfloat16Net
from service.inference.cuda.graphs import GraphedNet, LaneGraphs

WARM_UP = 3


class Ceilings(NamedTuple):
    """The limits of a device."""

    bytes_per_s: float
    """Bytes that the device can read and write in a second."""
    flop_per_s: float
    """Floating-point operations that the device can do in a second."""


class Layer(NamedTuple):
    """The measured call of one layer."""

    name: str
    seconds: float
    flop: float
    """Floating-point operations of the call, or 0 if they are unknown."""
    bytes: int
    """Bytes of the input, the output and the weights."""


@torch.inference_mode()
def main() -> None:
    """Print a line and a table of stages for each shape, and write everything so far as JSON after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="muse", help="name of a bundled model")
    parser.add_argument(
        "--shape", type=shape_of, action="append", help="side of square pictures x number in a batch; repeatable"
    )
    parser.add_argument("--light", action="store_true", help="also time the light net of a style, in the same run")
    parser.add_argument("--rounds", type=int, default=20, help="number of rounds, of which the median counts")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cuda or cpu")
    parser.add_argument("--json", type=Path, metavar="FILE", help="file to write everything to as JSON")
    options = parser.parse_args()
    device = torch.device(options.device)
    ceilings = measure_ceilings(device)
    net = read(options.model).to(device)
    with torch.inference_mode(mode=False):
        nets = contestants(net, device)
        if options.light:
            nets["light"] = inference_form(light_net(options.model).to(device))
    flop = flop_per_pixel(net, device)
    runs: list[dict[str, Any]] = []
    report = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "model": options.model,
        "form": type(inner(nets["form"])).__name__,
        "copy_gb_per_s": round(ceilings.bytes_per_s / 1e9, 1),
        "matrix_product_tflop_per_s": round(ceilings.flop_per_s / 1e12, 3),
        "runs": runs,
    }
    print("\n".join(f"{name}: {value}" for name, value in report.items() if name != "runs"))
    with lane(device):
        for side, batch in options.shape or [(256, 1)]:
            pictures = torch.rand(batch, 3, side, side, device=device)
            run = measure_what_fits(nets, pictures, options.rounds, ceilings)
            runs.append({"ceiling_ms_per_picture": round(1e3 * flop * side**2 / ceilings.flop_per_s, 5)} | run)
            print(as_text(runs[-1]), flush=True)
            if options.json:
                options.json.write_text(json.dumps(report))


def shape_of(text: str) -> tuple[int, int]:
    """Parse the side and the batch of a shape such as `256x32`."""
    side, batch = map(int, text.split("x"))
    return side, batch


@contextmanager
def lane(device: torch.device) -> Iterator[None]:
    """Compute on a stream with CUDA graphs, as a lane of the engine does; on a CPU, do nothing."""
    if device.type == "cuda":
        with torch.cuda.stream(torch.cuda.Stream(device)), LaneGraphs().in_use():
            yield
    else:
        yield


def read(model: str) -> TransformNet:
    """Open a bundled net, in evaluation mode."""
    store = Store(BUNDLED)
    for task in ("stylize", "super-resolve"):
        if model in store.names(task):
            return store.open(task, model, store.versions(task, model)[-1]).net
    raise SystemExit(f"there is no bundled model {model!r}")


def light_net(model: str) -> TransformNet:
    """Open the light net of a bundled style; one that is not trained takes its place, because it takes as long."""
    store = Store(BUNDLED)
    name = light_label(model)
    return store.open("stylize", name).net if name in store.names("stylize") else LightStyleNet().eval()


def contestants(net: TransformNet, device: torch.device) -> dict[str, TransformNet]:
    """Return the nets to compare by name: the serving form first, then its peers."""
    nets = {"form": inference_form(copy.deepcopy(net)), "float32": net}
    if device.type == "cuda":
        nets["bfloat16"] = Bfloat16Net(copy.deepcopy(net))
    return nets


def measure_what_fits(
    nets: dict[str, TransformNet], pictures: Tensor, rounds: int, ceilings: Ceilings
) -> dict[str, Any]:
    """Measure all nets, or the serving form alone if the device has not enough memory for its peers."""
    try:
        return measure(nets, pictures, rounds, ceilings)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
    return measure({"form": nets["form"]}, pictures, rounds, ceilings)


def measure(nets: dict[str, TransformNet], pictures: Tensor, rounds: int, ceilings: Ceilings) -> dict[str, Any]:
    """Time all nets in turn, then the layers of the serving form."""
    device = pictures.device
    milliseconds = interleaved([lambda net=net: net(pictures) for net in nets.values()], rounds, WARM_UP, device)
    per_picture = dict(zip(nets, (each / len(pictures) for each in milliseconds), strict=True))
    form = inner(nets["form"])
    seconds, layers = layers_of(form, pictures, rounds)
    return {
        "size": pictures.shape[-1],
        "batch": len(pictures),
        "ms_per_picture": {name: round(each, 4) for name, each in per_picture.items()},
        "speed_up_over": {
            name: round(each / per_picture["form"], 2)
            for name, each in per_picture.items()
            if name not in {"form", "light"}
        },
        "difference_255ths": difference(form, nets["float32"], pictures) if "float32" in nets else None,
        "stages": list(stages(layers, seconds, ceilings)),
    }


def difference(form: TransformNet, net: TransformNet, pictures: Tensor) -> float:
    """Return the mean difference of a form from its net, in 255ths."""
    return round((form(pictures) - net(pictures)).abs().mean().item() * 255, 4)


def inner(net: TransformNet) -> TransformNet:
    """Return the net whose CUDA graphs a form captures, or the form itself if it captures none."""
    while isinstance(net, GraphedNet | AwaitedForm):
        net = net.net
    return net


def measure_ceilings(device: torch.device) -> Ceilings:
    """Measure a large copy, and a large product of matrices in the type that the device multiplies fastest."""
    is_cuda = device.type == "cuda"
    source = torch.empty(2**28 if is_cuda else 2**25, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    side = 8192 if is_cuda else 1024
    matrix = torch.randn(side, side, device=device, dtype=torch.bfloat16 if is_cuda else torch.float32)
    copying, multiplying = interleaved([lambda: target.copy_(source), lambda: matrix @ matrix], 10, WARM_UP, device)
    return Ceilings(2 * source.nbytes / copying * 1e3, 2 * side**3 / multiplying * 1e3)


def layers_of(net: TransformNet, pictures: Tensor, rounds: int) -> tuple[float, list[Layer]]:
    """Time the layers of a net, which are its modules without children.

    Returns:
        The median seconds of a whole run, and the calls of all layers with their median seconds.
    """
    clock = CudaClock() if pictures.is_cuda else Clock()
    calls: list[tuple[str, nn.Module, object, object]] = []
    hooks = []

    def before(_module: nn.Module, _given: object) -> None:
        clock.mark()

    for name, module in net.named_modules():
        if next(module.children(), None) is None:

            def after(module: nn.Module, given: object, made: object, name: str = name) -> None:
                clock.mark()
                calls.append((name, module, given, made))

            hooks += [module.register_forward_pre_hook(before), module.register_forward_hook(after)]
    runs: list[list[float]] = []
    for _ in range(WARM_UP + rounds):
        calls.clear()
        clock.start()
        net(pictures)
        clock.mark()
        runs.append(clock.gaps())
    for hook in hooks:
        hook.remove()
    medians = [statistics.median(gaps) for gaps in zip(*runs[WARM_UP:], strict=True)]
    # Every second gap, from the second one on, is the time of a layer; the others are the times between layers.
    layers = [
        Layer(
            name,
            seconds,
            flop_of(module, made),
            sum(map(bytes_of, (given, made, [*module.parameters(), *module.buffers()]))),
        )
        for (name, module, given, made), seconds in zip(calls, medians[1::2], strict=False)
    ]
    return sum(medians), layers


class Clock:
    """A stopwatch that takes the time at marks, on the CPU."""

    def start(self) -> None:
        """Start, with the first mark."""
        self.times = [time.perf_counter()]

    def mark(self) -> None:
        """Take the time once more."""
        self.times.append(time.perf_counter())

    def gaps(self) -> list[float]:
        """Return the seconds between successive marks."""
        return [after - before for before, after in pairwise(self.times)]


class CudaClock(Clock):
    """A stopwatch that takes the time on the device, which waits until all kernels are launched."""

    def start(self) -> None:
        """Start, with the first mark."""
        torch.cuda.synchronize()
        torch.cuda._sleep(100_000_000)  # cycles
        self.events: list[torch.cuda.Event] = []
        self.mark()

    def mark(self) -> None:
        """Take the time once more."""
        self.events.append(torch.cuda.Event(enable_timing=True))
        self.events[-1].record()

    def gaps(self) -> list[float]:
        """Return the seconds between successive marks."""
        torch.cuda.synchronize()
        return [before.elapsed_time(after) / 1e3 for before, after in pairwise(self.events)]


def flop_per_pixel(net: TransformNet, device: torch.device) -> float:
    """Return the floating-point operations of all convolutions of a net for each pixel of its input."""
    flop: list[float] = []
    convolutions = [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]
    hooks = [
        each.register_forward_hook(lambda module, _given, made: flop.append(flop_of(module, made)))
        for each in convolutions
    ]
    pictures = torch.rand(1, 3, 64, 64, device=device)
    net(pictures)
    for hook in hooks:
        hook.remove()
    return sum(flop) / pictures[0, 0].numel()


def flop_of(module: nn.Module, made: object) -> float:
    """Return the floating-point operations of a convolution, or 0 for other modules."""
    kernels = [tensor for tensor in (*module.parameters(), *module.buffers()) if tensor.ndim == 4]
    return 2.0 * made.numel() * kernels[0][0].numel() if len(kernels) == 1 and isinstance(made, Tensor) else 0.0


def bytes_of(values: object) -> int:
    """Return the bytes of all tensors in a value."""
    if isinstance(values, Tensor):
        return values.nbytes
    return sum(map(bytes_of, values)) if isinstance(values, tuple | list) else 0


def stages(layers: list[Layer], seconds: float, ceilings: Ceilings) -> Iterator[dict[str, Any]]:
    """Yield the sums over the layers of each stage, in the order of their first calls, and the time between layers."""
    kinds: dict[str, list[Layer]] = {}
    for layer in layers:
        kinds.setdefault(re.sub(r"\d+", "*", layer.name), []).append(layer)
    for name, alike in kinds.items():
        taken = sum(layer.seconds for layer in alike)
        least = sum(max(layer.flop / ceilings.flop_per_s, layer.bytes / ceilings.bytes_per_s) for layer in alike)
        yield {
            "stage": name,
            "calls": len(alike),
            "ms": round(1e3 * taken, 4),
            "share": round(taken / seconds, 3),
            "gflop": round(sum(layer.flop for layer in alike) / 1e9, 3),
            "mb": round(sum(layer.bytes for layer in alike) / 1e6, 2),
            "of_ceiling": round(least / taken, 3),
        }
    between = seconds - sum(layer.seconds for layer in layers)
    yield {"stage": "between", "ms": round(1e3 * between, 4), "share": round(between / seconds, 3)}


def as_text(run: dict[str, Any]) -> str:
    """Return the figures of a shape as text for people."""
    times = ", ".join(f"{name} {each} ms" for name, each in run["ms_per_picture"].items())
    ratios = ", ".join(f"{each}× over {name}" for name, each in run["speed_up_over"].items())
    lines = [
        "",
        f"{run['size']}² ×{run['batch']}: a picture {times}, ceiling {run['ceiling_ms_per_picture']} ms; {ratios}; "
        f"off by {run['difference_255ths']}/255",
    ]
    lines += [
        f"  {stage['stage']:36}{stage['ms']:10.3f} ms {stage['share']:7.1%}"
        + (
            f"{stage['gflop']:10.3f} GFLOP{stage['mb']:10.2f} MB{stage['of_ceiling']:8.1%} of the ceiling"
            if "mb" in stage
            else ""
        )
        for stage in run["stages"]
    ]
    if "light" in run["ms_per_picture"]:
        full, light = (run["ms_per_picture"][name] for name in ("form", "light"))
        lines.insert(2, f"  the light net is {full / light:.2f}× as fast as the form")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
